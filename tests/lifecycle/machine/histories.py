"""The rules of a history: what the system, people, decay and crashes may do in any order, and what must hold."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle import overrides, pins
from include.lifecycle.package_lock import lock_package
from include.lifecycle.staging_jobs import request_staging
from include.lifecycle.subjects import LifecycleSubject
from include.stages import archiving, deletion, packaging, scrubbing, staging
from tests.lifecycle.archived import Archived
from tests.lifecycle.machine.judge import Judge
from tests.lifecycle.machine.policies import POLICIES
from tests.lifecycle.machine.workers import WatchedStorage, Workers
from tests.lifecycle.machine.world import ARCHIVES, BUFFERS, DELETABLE, PROCESSING, SOURCE, World, now

RUNS = 2
"""So many runs of plan and run, and what policy frees is gone."""
GOING = {"deleted", "deletion_in_progress", "deletion_failed"}

SET_COPY = """
update physical_copy c set status = cast(:status as text),
  -- What is found bad keeps the time at which it was good.
  verified_at = case when :verified then now() when cast(:status as text) <> 'present' then c.verified_at end,
  checksum = p.checksum
from raw_data_package p, data_location l
where p.id = :package and c.raw_data_package_id = p.id and l.id = c.data_location_id and l.full_name = :place
  and c.status in ('present', 'corrupt', 'missing')
"""
DAYS_PASS = """
set local session_replication_role = replica;
update raw_data_package set archived_at = archived_at - {days}, created_at = created_at - {days};
update physical_copy set created_at = created_at - {days}, verified_at = verified_at - {days};
update operation set lease_expires_at = now() - interval '1 second', not_before = null;
update staging_job set until = until - {days};
update pin set until = until - {days};
update copy_rule_override set expires_at = expires_at - {days}, asked_at = asked_at - {days},
  confirmed_at = confirmed_at - {days}
"""
FILLS = """
insert into location_measurement
  (data_location_id, host, total_bytes, used_bytes, stored_bytes, stored_copies, counted_at)
select id, 'test', 1000000000, :used, 0, 0, now() from data_location where full_name = :place;
insert into location_change (data_location_id, condition, why)
select id, :condition, 'It was measured.' from data_location where full_name = :place
"""
TO_BE_DONE = """
insert into operation (kind, data_location_id, raw_data_package_id, explanation)
select :kind, id, :package, 'Wanted.' from data_location where full_name = :place on conflict do nothing
"""
CLAIM = """
with filed as (
  insert into raw_data_file
    (id, executed_obs_unit_id, instrument_module_id, data_location_id, filing_id, path, size_bytes)
  select gen_random_uuid(), other.executed_obs_unit_id, f.instrument_module_id, f.data_location_id, f.filing_id, f.path,
    f.size_bytes
  from raw_data_file f, raw_data_file other
  where f.raw_data_package_id = :package and other.raw_data_package_id <> :package
  order by f.path limit 1 returning id, data_location_id, path, size_bytes
)
insert into physical_copy (raw_data_file_id, data_location_id, path, size_bytes) select * from filed
"""
UNCLAIM = """
update physical_copy set status = 'missing' where raw_data_file_id in (
  select id from raw_data_file where raw_data_package_id is null or raw_data_package_id <> all(:packages))
"""
PLAN_ALL = """
insert into operation (kind, data_location_id, raw_data_package_id, explanation)
select 'deletion', l.id, p.id, 'Planned when all was well.' from data_location l, raw_data_package p
where p.id = any(:packages) and l.full_name = any(:places)
"""
ENDS = {
    "all jobs": "update staging_job set until = now() - interval '1 second'",
    "all pins": "update pin set released_at = now(), released_by = 'tests' where released_at is null",
    "what nobody works on": "update operation set status = 'cancelled' where status in ('pending', 'failed')",
}
TROUBLES = (
    "none", "one is bad", "one is bad and another is bad", "one is not verified", "it is not archived",
    "a file is in no package", "it is on its way", "nobody unpacks it", "it is wanted", "it is read",
    "others claim a file", "a worker died", "another worker died", "a worker died and one is bad and another is bad",
    "days have passed", "a place is full", "one is bad and another is bad and one person lets it go",
    "one is bad and another is bad and two people let it go and days have passed",
)  # fmt: skip

packages = st.integers(0, 1)
archives = st.sampled_from(ARCHIVES)
buffers = st.sampled_from(BUFFERS)
places = st.sampled_from(DELETABLE)
steps = st.one_of(st.just(-1), st.integers(0, 6))


class Histories(RuleBasedStateMachine):
    """Two packages that are everywhere; deletions of all their copies but those in archives were planned."""

    world: World
    workers: Workers
    judge: Judge

    @initialize(
        policy=st.sampled_from(list(POLICIES)),
        planned=st.booleans(),
        trouble=st.sampled_from(TROUBLES),
        archive=archives,
        seen_to=places,
        heals=st.integers(0, 7),
    )
    def begin(self, *, policy: str, planned: bool, trouble: str, archive: str, seen_to: str, heals: int) -> None:
        # In the end it is seen to at one place that what is free goes; at all of them it would take most of the time.
        self.seen_to, self.heals = (seen_to,), heals == 7
        self.rotten: set[tuple[int, str]] = set()
        """Archive copies that are damaged, and nobody knows."""
        self.changed: set[tuple[int, str]] = set()
        """Where somebody has laid hands on our files."""
        self.trusted = False
        """Two people have said that one archive copy will do."""
        self.judge.tally.histories += 1
        self.judge.wrong.clear()
        self.world.begin()
        self.world.apply_policy(policy)
        for place in (*DELETABLE, *ARCHIVES):
            storage = WatchedStorage(self.workers, place, self.judge.before_deletion)
            self.world.observatory.storages[place] = storage
        if planned:
            self.world.sql(PLAN_ALL, packages=[package.id for package in self.world.packages], places=list(DELETABLE))
        self._begin_with(trouble, archive)
        if planned:
            self.deletion_runs(place=seen_to, planned=True)

    def _begin_with(self, trouble: str, archive: str) -> None:
        """Since deletions were planned, something has changed."""
        other, place = next(each for each in ARCHIVES if each != archive), self.seen_to[0]
        troubles: dict[str, Callable[[], object]] = {
            "one is bad": lambda: self._find_bad(0, archive, "corrupt"),
            "another is bad": lambda: self._find_bad(0, other, "missing"),
            "one is not verified": lambda: self._set_copy(0, archive, "present", verified=False),
            "it is not archived": lambda: self.a_package_changes_its_state(package=0, state="transferring"),
            "a file is in no package": lambda: self.a_file_is_found_in_no_package(package=0, is_packaged=False),
            "it is on its way": lambda: self.a_transfer_goes_on(package=0, status="pending", which=[False]),
            "nobody unpacks it": lambda: self.a_transfer_goes_on(package=0, status="failed", which=[True, False]),
            "it is wanted": lambda: self.somebody_asks_for_a_package(package=0),
            "it is read": lambda: self.somebody_has_yet_to_read_it(package=0, status="pending"),
            "others claim a file": lambda: self.world.sql(CLAIM, package=self._package(0).id),
            "a worker died": lambda: self.deletion_dies(place=place, planned=True, steps=3),
            "another worker died": lambda: self.deletion_dies(place=place, planned=False, steps=1),
            "one person lets it go": lambda: self.people_let_it_go_with_one_copy(
                package=0, place=place, confirmed=False
            ),
            "two people let it go": lambda: self.people_let_it_go_with_one_copy(package=0, place=place, confirmed=True),
            "days have passed": lambda: self.days_pass(days=6),
            "a place is full": lambda: self.a_place_fills_or_empties(place=place, is_full=True),
        }
        for each in trouble.split(" and "):
            if each in troubles:
                troubles[each]()

    # Archives

    @rule(package=packages, archive=archives, found=st.sampled_from(["corrupt", "missing"]))
    def an_archive_copy_is_found_bad(self, package: int, archive: str, found: str) -> None:
        if self.world.good_places(self._package(package)) - {archive}:
            self._find_bad(package, archive, found)

    @rule(package=packages, archive=archives)
    def an_archive_copy_rots(self, package: int, archive: str) -> None:
        """Only one at a time, and not after people have said that one will do: against more, no two copies help."""
        good = [each for each in ARCHIVES if self.world.is_good(self._package(package), each)]
        if not self.trusted and not any(each == package for each, _ in self.rotten) and set(good) - {archive}:
            self._damage(package, archive)
            self.rotten.add((package, archive))

    @rule(package=packages, archive=archives)
    def an_archive_copy_is_written_again_and_not_verified_yet(self, package: int, archive: str) -> None:
        self._set_copy(package, archive, "present", verified=False)

    @rule(package=packages, archive=archives)
    def an_archive_copy_is_found_to_be_of_other_bytes(self, package: int, archive: str) -> None:
        """By whoever recorded it with the checksum that he computed; the next scrub sees which is right."""
        self.world.sql(
            "update physical_copy c set checksum = 'xxh3-128:0' from data_location l where l.id = c.data_location_id"
            " and l.full_name = :place and c.raw_data_package_id = :package and c.status = 'present'",
            package=self._package(package).id,
            place=archive,
        )

    @rule(package=packages, archive=archives)
    def a_deletion_is_ordered_at_an_archive(self, package: int, archive: str) -> None:
        """There is no lane for it; somebody has written it into ops-db."""
        self.world.sql(TO_BE_DONE, kind="deletion", package=self._package(package).id, place=archive)
        self.workers.do_what_is_due(deletion, archive)

    @rule(archive=archives, steps=steps)
    def archives_are_scrubbed(self, archive: str, steps: int) -> None:
        self.world.sql(
            """
            insert into operation (kind, data_location_id, physical_copy_id, explanation)
            select 'scrubbing', l.id, c.id, 'It is its day.' from physical_copy c
            join data_location l on l.id = c.data_location_id
            where l.full_name = :place and c.status = 'present' on conflict do nothing
            """,
            place=archive,
        )
        report = self.workers.do_what_is_due(scrubbing, archive, steps=steps)
        self.judge.tally.scrubs += report.completed
        assert report.failed == []

    @rule(archive=archives, steps=steps)
    def archives_are_repaired(self, archive: str, steps: int) -> None:
        self.workers.plan(archiving, archive)
        self.workers.do_what_is_due(archiving, archive, steps=steps)

    # Buffers, transfers, sources

    @rule(package=packages, place=buffers)
    def a_buffer_loses_it(self, package: int, place: str) -> None:
        if self.world.good_places(self._package(package)) - {place}:
            self.world.file(place, self._package(package).path).unlink(missing_ok=True)
            self._set_copy(package, place, "missing", verified=False)

    @rule(
        package=packages,
        status=st.sampled_from(["pending", "in_progress", "completed", "failed"]),
        which=st.sampled_from([[True], [False], [True, False]]),
    )
    def a_transfer_goes_on(self, package: int, status: str, which: list[bool]) -> None:
        """The first (primary: True), the second, or both."""
        self.world.sql(
            """
            update data_transfer t set unpacking_status = :status from data_transfer_package_member m
            join data_transfer_package b on b.id = m.data_transfer_package_id
            where b.id = t.data_transfer_package_id and m.raw_data_package_id = :package and b.is_primary = any(:which)
            """,
            package=self._package(package).id,
            status=status,
            which=which,
        )

    @rule(package=packages, status=st.sampled_from(["pending", "failed", "cancelled"]))
    def somebody_has_yet_to_read_it(self, package: int, status: str) -> None:
        about = {"package": self._package(package).id, "place": "us_archive"}
        self.world.sql(TO_BE_DONE, kind="archiving", **about)
        self.world.sql(
            "update operation set status = :status where kind = 'archiving' and raw_data_package_id = :package"
            " and status not in ('completed', 'cancelled')",
            package=about["package"],
            status=status,
        )

    @rule(package=packages, is_packaged=st.booleans())
    def a_file_is_found_in_no_package(self, package: int, is_packaged: bool) -> None:
        self.world.sql(
            "update raw_data_file set offset_bytes = case when :is_packaged then 512 end where id = ("
            "select min(id::text)::uuid from raw_data_file where raw_data_package_id = :package)",
            package=self._package(package).id,
            is_packaged=is_packaged,
        )

    @rule(package=packages, state=st.sampled_from(["transferring", "archived"]))
    def a_package_changes_its_state(self, package: int, state: str) -> None:
        self.world.sql(
            "update raw_data_package set state = :state where id = :id", id=self._package(package).id, state=state
        )

    @rule(package=packages, place=places, back=st.booleans())
    def somebody_changes_our_file(self, package: int, place: str, back: bool) -> None:
        path, content = next(iter(self.world.files_of(self._package(package), place).items()))
        file = self.world.file(place, path)
        if file.exists() and len(self.world.good_places(self._package(package)) - {place}) > 0:
            file.write_bytes(content if back else content[::-1])
            self.changed.add((package, place))

    @rule(steps=steps)
    def what_is_lost_is_made_again(self, steps: int) -> None:
        self.workers.plan(packaging, SOURCE)
        self.workers.do_what_is_due(packaging, SOURCE, steps=steps)

    # People

    @rule(package=packages)
    def somebody_asks_for_a_package(self, package: int) -> None:
        if not self.judge.truth(self._package(package).id).sound():
            return  # it would be refused
        with Session(self.world.engine) as session, session.begin():
            self._ask_for(session, package)

    @rule(steps=steps)
    def staging_runs(self, steps: int) -> None:
        self.workers.plan(staging, PROCESSING)
        self.workers.do_what_is_due(staging, PROCESSING, steps=steps)

    @rule(
        package=packages,
        place=st.one_of(st.none(), places),
        days=st.sampled_from([None, 1, 4]),
        all_of_it=st.booleans(),
    )
    def somebody_pins_it(self, package: int, place: str | None, days: int | None, all_of_it: bool) -> None:
        with Session(self.world.engine) as session, session.begin():
            self._pin(session, package, place=place, days=days, all_of_it=all_of_it)

    @rule(what=st.sampled_from(list(ENDS)))
    def something_ends(self, what: str) -> None:
        self.world.sql(ENDS[what])

    @rule(package=packages, place=places, confirmed=st.booleans())
    def people_let_it_go_with_one_copy(self, package: int, place: str, confirmed: bool) -> None:
        if self.rotten:
            return
        with Session(self.world.engine) as session, session.begin():
            asked = overrides.ask(
                session, self._subject(package), location=place, reason="full", person="jane", account="jane@ccat"
            )
            if confirmed:
                overrides.confirm(session, asked.id, person="joe", account="joe@ccat")
        self.trusted |= confirmed

    @rule(policy=st.sampled_from(list(POLICIES)))
    def policy_changes(self, policy: str) -> None:
        self.world.apply_policy(policy)

    @rule(place=places, is_full=st.booleans())
    def a_place_fills_or_empties(self, place: str, is_full: bool) -> None:
        used, condition = (1_000_000_000, "pressed") if is_full else (0, "well")
        for statement in FILLS.split(";"):
            self.world.sql(
                statement, place=place, **({"used": used} if ":used" in statement else {"condition": condition})
            )

    @rule(days=st.sampled_from([1, 3, 6]))
    def days_pass(self, days: int) -> None:
        with self.world.engine.begin() as connection:
            connection.exec_driver_sql(DAYS_PASS.format(days=f"interval '{days} days'"))
        self.workers.clock += days * 86400

    # Deletion

    @rule(place=places, planned=st.booleans())
    def deletion_runs(self, place: str, planned: bool) -> None:
        """What was planned when it made sense may come to work only now: all depends on the gate."""
        if not planned:
            self.workers.plan(deletion, place)
        self.workers.do_what_is_due(deletion, place)

    @rule(place=places, planned=st.booleans(), steps=st.integers(0, 7))
    def deletion_dies(self, place: str, planned: bool, steps: int) -> None:
        if not planned:
            self.workers.plan(deletion, place)
        self.workers.do_what_is_due(deletion, place, steps=steps)

    @rule(place=places, after=st.integers(0, 3), what=st.integers(0, 4), package=packages, archive=archives)
    def something_happens_while_files_go(self, place: str, after: int, what: int, package: int, archive: str) -> None:
        happens = (
            lambda: self._overtake(place),
            lambda: self._lose_another(package, archive),
            lambda: self.somebody_asks_for_a_package(package=package),
            lambda: self.policy_changes(policy="three at two"),
            lambda: self.workers.do_what_is_due(deletion, SOURCE if place != SOURCE else PROCESSING),
        )
        self.workers.steps_until_meanwhile, self.workers.meanwhile = after, happens[what]
        self.workers.between_files = what == 0
        policy = self.world.policy
        self.workers.do_what_is_due(deletion, place)
        self.world.apply_policy(policy)

    @rule(place=places, package=packages, archive=archives, what=st.sampled_from(["bad", "job", "pin", "deletion"]))
    def somebody_comes_while_the_gate_decides(self, place: str, package: int, archive: str, what: str) -> None:
        """The gate has not committed: whoever changes a copy must wait."""
        self.workers.plan(deletion, place)
        beside = SOURCE if place != SOURCE else PROCESSING
        of = self._package(package).id
        if what == "deletion":
            if self.workers.due(deletion, beside, package=of):
                self.workers.in_the_gate = lambda: self.workers.do_what_is_due(deletion, beside, package=of)
        elif self._may_write(what, package, archive):
            self.workers.in_the_gate = lambda: self._write_and_commit(what, package, archive)
        self.workers.do_what_is_due(deletion, place, package=of)

    @rule(place=places, package=packages, archive=archives, what=st.sampled_from(["bad", "job", "pin"]))
    def the_gate_comes_while_somebody_decides(self, place: str, package: int, archive: str, what: str) -> None:
        """Whoever changes a copy has not committed: the gate must wait, and see it then."""
        self.workers.plan(deletion, place)
        of = self._package(package).id
        if not self.workers.due(deletion, place, package=of) or not self._may_write(what, package, archive):
            return
        with Session(self.world.engine) as session, session.begin():
            self._write(session, what, package, archive)
            session.flush()
            self.judge.unfinished.add(of)
            self.workers.start_rival(lambda: self.workers.do_what_is_due(deletion, place, package=of))
            self.judge.unfinished.discard(of)
        self.workers.await_rival()

    @invariant()
    def good_bytes_are_somewhere(self) -> None:
        assert all(self.world.good_places(package) for package in self.world.packages)

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert not self.judge.wrong, "; ".join(self.judge.wrong)

    def teardown(self) -> None:
        """What may go does go, as things are now; and once all is well, nothing is left but the archives."""
        if not hasattr(self, "rotten"):
            return
        if self.heals:
            self._heal()
        self._expect_what_is_free_to_go(DELETABLE if self.heals else self.seen_to)
        if self.heals:
            truths = [self.judge.truth(package.id) for package in self.world.packages]
            left = [
                f"{truth.package['name']} at {place}"
                for truth in truths
                for place in DELETABLE
                if truth.is_there(place)
            ]
            assert not left, left
        self.nothing_is_wrong()
        for path, content in self.world.strangers.items():
            assert path.read_bytes() == content, path

    def _expect_what_is_free_to_go(self, places: Sequence[str]) -> None:
        for _ in range(RUNS):
            free = self._free(places)
            if not free:
                break
            # Time has passed, dead workers are known to be dead, and a person has everything tried again.
            self.world.sql(
                "update operation set lease_expires_at = now() - interval '1 second', not_before = null,"
                " status = case when status = 'failed' and kind = 'deletion' then 'pending' else status end"
                " where status not in ('completed', 'cancelled')"
            )
            self.workers.clock += 3600
            for place in free:
                self.workers.plan(deletion, place)
                self.workers.do_what_is_due(deletion, place)
            self._scrub_what_the_gate_asked_for()
        for place, names in self._free(places).items():
            self.judge.wrong_refusal(f"{', '.join(names)} at {place}: free, and did not go in {RUNS} runs")
        for package in self.world.packages:
            truth = self.judge.truth(package.id)
            for place in places:
                statuses = {copy["status"] for copy in truth.copies_at(place)}
                if statuses & GOING and place not in truth.rows["records"]:
                    self.judge.wrong_deletion(f"{package.name} at {place} goes without a record")
                if statuses == {"deleted"}:
                    left = [
                        path
                        for path in self.world.files_of(package, place)
                        if (self.world.folder(place) / path).exists()
                    ]
                    assert not left, f"{place} still has {left}"

    def _free(self, places: Sequence[str]) -> dict[str, list[str]]:
        """Return names of the packages that are there and free, or would be once copies were read again; by place."""
        truths = [self.judge.truth(package.id) for package in self.world.packages]
        free = {
            place: [
                truth.package["name"]
                for truth in truths
                if truth.is_there(place) and (not truth.why_it_stays(place) or truth.waits_for_scrub(place))
            ]
            for place in places
        }
        return {place: names for place, names in free.items() if names}

    def _scrub_what_the_gate_asked_for(self) -> None:
        waiting = (
            "select l.full_name from operation o join data_location l on l.id = o.data_location_id"
            " where o.kind = 'scrubbing' and o.status = 'pending' group by 1 order by 1"
        )
        for archive in self.world.scalars(waiting):
            self.workers.do_what_is_due(scrubbing, archive)

    def _heal(self) -> None:
        self.world.apply_policy("two at two")
        self.world.sql(ENDS["all jobs"])
        self.world.sql(ENDS["all pins"])
        self.days_pass(days=1)
        self.world.sql("update operation set status = 'cancelled' where status <> 'completed' and kind <> 'deletion'")
        self.world.sql(UNCLAIM, packages=[package.id for package in self.world.packages])
        for number, package in enumerate(self.world.packages):
            self.a_transfer_goes_on(package=number, status="completed", which=[True, False])

            self.a_file_is_found_in_no_package(package=number, is_packaged=True)
            self.a_package_changes_its_state(package=number, state="archived")
            for archive in ARCHIVES:
                self.world.put(archive, package.path, package.content)
                self._set_copy(number, archive, "present", verified=True)

    def _package(self, number: int) -> Archived:
        return self.world.packages[number]

    def _subject(self, number: int, *, all_of_it: bool = False) -> LifecycleSubject:
        package = self._package(number)
        if all_of_it:
            return LifecycleSubject(executed_obs_unit_id=package.observation)
        return LifecycleSubject(raw_data_package_id=package.id)

    def _damage(self, number: int, archive: str) -> None:
        content = self._package(number).content
        self.world.file(archive, self._package(number).path).write_bytes(b"?" * len(content))

    def _find_bad(self, number: int, archive: str, found: str) -> None:
        if found == "corrupt":
            self._damage(number, archive)
        else:
            self.world.file(archive, self._package(number).path).unlink(missing_ok=True)
        self._set_copy(number, archive, found, verified=False)
        self.rotten.discard((number, archive))

    def _lose_another(self, number: int, archive: str) -> None:
        if self._has_another(number, archive):
            self._find_bad(number, archive, "corrupt")

    def _has_another(self, number: int, archive: str) -> bool:
        """Tell whether another archive has good bytes."""
        return any(self.world.is_good(self._package(number), each) for each in ARCHIVES if each != archive)

    def _set_copy(self, number: int, place: str, status: str, *, verified: bool) -> None:
        with Session(self.world.engine) as session, session.begin():
            self._set_copy_in(session, number, place, status, verified=verified)

    def _set_copy_in(self, session: Session, number: int, place: str, status: str, *, verified: bool) -> None:
        package = self._package(number).id
        lock_package(session, package)
        session.execute(text(SET_COPY), {"package": package, "place": place, "status": status, "verified": verified})

    def _may_write(self, what: str, number: int, archive: str) -> bool:
        if what == "bad":
            return self._has_another(number, archive)
        return what == "pin" or bool(self.judge.truth(self._package(number).id).sound())

    def _write(self, session: Session, what: str, number: int, archive: str) -> None:
        """Change something about a package that the gate's answer may rest on."""
        if what == "bad":
            self._set_copy_in(session, number, archive, "corrupt", verified=False)
            self._damage(number, archive)
            self.rotten.discard((number, archive))
        elif what == "job":
            self._ask_for(session, number)
        else:
            self._pin(session, number, place=None, days=4, all_of_it=False)

    def _write_and_commit(self, what: str, number: int, archive: str) -> None:
        with Session(self.world.engine) as session, session.begin():
            self._write(session, what, number, archive)

    def _ask_for(self, session: Session, number: int) -> None:
        request_staging(
            session,
            packages=[self._package(number).name],
            location=PROCESSING,
            until=now() + timedelta(days=2),
            requested_by="jane",
            reason="a paper",
            may_wait=True,  # the place may be full
        )

    def _pin(self, session: Session, number: int, *, place: str | None, days: int | None, all_of_it: bool) -> None:
        until = None if days is None else now() + timedelta(days=days)
        subject = self._subject(number, all_of_it=all_of_it)
        pins.pin(session, subject, location=place, reason="a nova", person="jane", until=until)

    def _overtake(self, place: str) -> None:
        """Whoever is at work sleeps for an hour; somebody else ends it, and what is wanted is staged anew."""
        self.world.sql(
            "update operation set lease_expires_at = now() - interval '1 second' where status = 'in_progress'"
        )
        self.workers.clock += 3600
        self.workers.do_what_is_due(deletion, place)
        if place == PROCESSING:
            self.workers.plan(staging, PROCESSING)
            self.workers.do_what_is_due(staging, PROCESSING)
