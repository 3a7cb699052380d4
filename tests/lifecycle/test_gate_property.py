"""Whatever happens in whatever order, no file is deleted but on two verified archive copies; and what may go does go.

Deletions, stagings and repairs are the real ones, on real files and a real ops-db; around them copies appear, are
verified, turn out corrupt or missing (their bytes too), transfers begin and end, people ask for packages, and workers
are killed at any step. What must hold is asked of ops-db and of the bytes in this test's own words, at the moment in
which a file goes. Damage alone never takes the last good bytes: if they are gone, deletion or repair took them.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from include.ops_db.states import CopyStatus
from include.stages import archiving, deletion, packaging, staging
from include.storage.disk import DiskStorage
from tests.databases import empty
from tests.lifecycle.archived import ARCHIVES, BUFFERS, Archived, archived_package
from tests.observatory import Observatory

PLACES = ("ccat_source", "cologne_buffer", "us_buffer", "cologne_processing")

TROUBLES = ("none", "not archived", "one not verified", "one corrupt", "on its way", "wanted")

EVIDENCE = text(
    """
    select count(*) as copies, count(distinct l.site) as sites
    from physical_copy c join data_location l on l.id = c.data_location_id
    join raw_data_package p on p.id = c.raw_data_package_id
    where p.id = :package and l.location_type = 'long_term_archive' and c.status = 'present'
      and c.verified_at is not null and c.checksum = p.checksum and p.state = 'archived'
    """
)
ON_RECORD = text(
    """
    select count(*) from deletion_record r join data_location l on l.id = r.data_location_id
    where r.raw_data_package_id = :package and l.full_name = :place and jsonb_array_length(r.evidence) >= 2
    """
)
WANTED_BY = text(
    """
    select count(*) from staging_job j join staging_job_package m on m.staging_job_id = j.id
    join data_location l on l.id = j.data_location_id
    where m.raw_data_package_id = :package and l.full_name = :place and j.state = 'active'
      and j.until > clock_timestamp()
    """
)
ON_THEIR_WAY = text(
    """
    select count(*) from data_transfer t join data_transfer_package_member m using (data_transfer_package_id)
    join data_location l on l.id in (t.origin_location_id, t.destination_location_id)
    where m.raw_data_package_id = :package and l.full_name = :place and t.unpacking_status <> 'completed'
    """
)
WITHOUT_RECORD = text(
    """
    select l.full_name from physical_copy c
    join data_location l on l.id = c.data_location_id
    left join raw_data_file f on f.id = c.raw_data_file_id
    where c.status in ('deleted', 'deletion_in_progress', 'deletion_failed') and not exists (
      select from deletion_record r where r.data_location_id = c.data_location_id
        and r.raw_data_package_id = coalesce(c.raw_data_package_id, f.raw_data_package_id))
    """
)
STILL_THERE = text(
    """
    select distinct l.full_name from physical_copy c join data_location l on l.id = c.data_location_id
    where l.full_name = any(:places) and c.status not in ('deleted', 'missing')
    """
)
PLAN_ALL = text(
    """
    insert into operation (kind, data_location_id, raw_data_package_id, explanation)
    select 'deletion', id, :package, 'Planned when all was well.' from data_location where full_name = any(:places)
    """
)
PLANNED = text(
    """
    select o.id from operation o join data_location l on l.id = o.data_location_id
    where o.kind = 'deletion' and l.full_name = :place and o.status in ('pending', 'scheduled')
    """
)
SET_COPY = text(
    """
    with locked as (select id from raw_data_package where id = :package for no key update)
    update physical_copy c set status = cast(:status as text),
      -- What is found bad keeps the time at which it was good.
      verified_at = case when :verified then now() when cast(:status as text) <> 'present' then c.verified_at end,
      checksum = p.checksum
    from locked, raw_data_package p, data_location l
    where p.id = locked.id and c.raw_data_package_id = p.id and l.id = c.data_location_id and l.full_name = :place
      and c.status = any(:was)
    """
)


class Killed(BaseException):
    """The worker ends here; nothing catches this."""


class Deletions(RuleBasedStateMachine):
    """A package at four places and two archives."""

    def __init__(self, observatory: Observatory) -> None:
        super().__init__()
        self.observatory = observatory
        self.steps_left = -1
        self.violations: list[str] = []
        self.package: Archived | None = None

    @initialize(staged=st.sampled_from([True, True, False]), trouble=st.sampled_from(TROUBLES))
    def a_package_is_everywhere(self, *, staged: bool, trouble: str) -> None:
        """Deletions were planned when all was well; since then one thing has changed."""
        empty(self.observatory.engine, places_too=False)
        for place in (*PLACES, *ARCHIVES, "ccat_buffer"):
            shutil.rmtree(self.observatory.folder(place))
            self.observatory.folder(place).mkdir()
            self.observatory.storages[place] = WatchedStorage(self, place)
        self.package = archived_package(self.observatory, {"a/1.g3": b"one", "a/2.g3": b"two"})
        if staged:
            self.package.stage()
        self.a_buffer_loses_it("ccat_buffer")
        self._sql(PLAN_ALL.text, package=self.package.id, places=list(PLACES))
        match trouble:
            case "not archived":
                self.package.change(state="transferring", archived_at=None)
                for archive in ARCHIVES:
                    self.an_archive_copy_is_written_again_and_not_verified_yet(archive)
            case "one not verified":
                self.an_archive_copy_is_written_again_and_not_verified_yet("us_archive")
            case "one corrupt":
                self.an_archive_copy_is_found_bad("cologne_archive", "corrupt")
            case "on its way":
                self.the_transfer_to_us_goes_on("pending")
            case "wanted":
                self.somebody_asks_for_a_package()

    # What the other stages and scrubbing do.

    @rule(archive=st.sampled_from(ARCHIVES))
    def an_archive_copy_is_verified_or_repaired(self, archive: str) -> None:
        self.observatory.put_files({self.package.path: self.package.content}, location=archive)
        self._set_copy(archive, CopyStatus.PRESENT, verified=True)
        self._sql(
            "update raw_data_package set state = 'archived', archived_at = coalesce(archived_at, now())"
            " where id = :package",
            package=self.package.id,
        )

    @rule(archive=st.sampled_from(ARCHIVES), found=st.sampled_from(["corrupt", "missing"]))
    def an_archive_copy_is_found_bad(self, archive: str, found: str) -> None:
        if not self._good_places() - {archive}:
            return
        path = self.observatory.folder(archive) / self.package.path
        path.unlink(missing_ok=True)
        if found == "corrupt":
            self.observatory.put_files({self.package.path: b"?" * len(self.package.content)}, location=archive)
        self._set_copy(archive, CopyStatus(found), verified=False)

    @rule(place=st.sampled_from(BUFFERS))
    def a_buffer_loses_it(self, place: str) -> None:
        if not self._good_places() - {place}:
            return
        (self.observatory.folder(place) / self.package.path).unlink(missing_ok=True)
        self._set_copy(place, CopyStatus.MISSING, verified=False)

    @rule(archive=st.sampled_from(ARCHIVES))
    def an_archive_copy_is_written_again_and_not_verified_yet(self, archive: str) -> None:
        self._set_copy(archive, CopyStatus.PRESENT, verified=False)

    @rule(status=st.sampled_from(["pending", "in_progress", "completed"]))
    def the_transfer_to_us_goes_on(self, status: str) -> None:
        self._sql(
            "update data_transfer t set unpacking_status = :status from data_transfer_package_member m"
            " where m.data_transfer_package_id = t.data_transfer_package_id and m.raw_data_package_id = :package"
            " and not (select is_primary from data_transfer_package b where b.id = t.data_transfer_package_id)",
            package=self.package.id,
            status=status,
        )

    # What people do.

    @rule()
    def somebody_asks_for_a_package(self) -> None:
        self.package.staging_job(until=datetime.now(UTC) + timedelta(hours=1))

    @rule()
    def all_jobs_are_over(self) -> None:
        self._sql("update staging_job set until = now() - interval '1 second'")

    # What is tested.

    @rule(place=st.sampled_from(PLACES), steps=st.one_of(st.just(-1), st.integers(0, 5)))
    def deletion_runs(self, place: str, steps: int) -> None:
        """What was planned when it made sense comes to work only now: all depends on the gate."""
        with self._killed_after(steps):
            self._run_planned(place)

    @rule()
    def deletion_runs_everywhere(self) -> None:
        for place in PLACES:
            self._run_planned(place)

    @rule(archive=st.sampled_from(ARCHIVES), steps=st.one_of(st.just(-1), st.integers(0, 3)))
    def archives_are_repaired(self, archive: str, steps: int) -> None:
        with self._killed_after(steps):
            self.observatory.run(archiving, archive)

    @rule(steps=st.one_of(st.just(-1), st.integers(0, 3)))
    def what_is_lost_is_made_again(self, steps: int) -> None:
        with self._killed_after(steps):
            self.observatory.run(packaging, "ccat_source")

    @rule(place=st.sampled_from(PLACES))
    def deletion_is_planned(self, place: str) -> None:
        self.observatory.plan(deletion, place)

    @precondition(lambda self: self._wants_staging())
    @rule(steps=st.one_of(st.just(-1), st.integers(0, 3)))
    def staging_runs(self, steps: int) -> None:
        with self._killed_after(steps):
            self.observatory.run(staging, "cologne_processing")

    @rule()
    def time_passes(self) -> None:
        self._sql(
            "update operation set lease_expires_at = now() - interval '1 second', not_before = null,"
            " scheduled_at = now() - interval '1 hour'"
        )

    @rule()
    def somebody_cancels_what_nobody_works_on(self) -> None:
        self._sql("update operation set status = 'cancelled' where status in ('pending', 'failed')")

    @invariant()
    def whatever_is_gone_is_on_record(self) -> None:
        with self.observatory.engine.connect() as connection:
            assert connection.execute(WITHOUT_RECORD).scalars().all() == []

    @invariant()
    def good_bytes_are_somewhere(self) -> None:
        assert self.package is None or self._good_places()

    @invariant()
    def nothing_went_that_must_stay(self) -> None:
        assert self.violations == []

    def teardown(self) -> None:
        """What may go does go: once all is well, two runs leave nothing anywhere but in the archives."""
        if self.package is None:
            return
        self.all_jobs_are_over()
        self.the_transfer_to_us_goes_on("completed")
        for archive in ARCHIVES:
            self.an_archive_copy_is_verified_or_repaired(archive)
        for _ in range(2):
            self.time_passes()
            self.observatory.run(packaging, "ccat_source")
            for archive in ARCHIVES:
                self.observatory.run(archiving, archive)
                self.an_archive_copy_is_verified_or_repaired(archive)
            if self._is_staging():  # its worker is dead, which its own plan must find out
                self.observatory.run(staging, "cologne_processing")
            for place in self._places_with_copies():
                assert self.observatory.run(deletion, place).failed == []
        assert self.violations == []
        assert self._places_with_copies() == []
        for place in PLACES:
            assert [path for path in self.observatory.folder(place).rglob("*") if path.is_file()] == []

    def ask_before(self, place: str, path: str) -> None:
        """Called when a file is about to go: the truth about its package must allow it."""
        values = {"package": self.package.id, "place": place}
        with self.observatory.engine.connect() as connection:
            evidence = connection.execute(EVIDENCE, values).one()
            objections = [
                f"with {evidence.copies} verified archive copies" if evidence.copies < 2 else "",
                f"with archive copies at {evidence.sites} sites" if evidence.sites < 2 else "",
                *(f"while {archive} has other bytes" for archive in ARCHIVES if not self._is_good(archive)),
                "without a record" if connection.execute(ON_RECORD, values).scalar_one() == 0 else "",
                "though it is wanted" if connection.execute(WANTED_BY, values).scalar_one() else "",
                "while it is sent"
                if place in BUFFERS and connection.execute(ON_THEIR_WAY, values).scalar_one()
                else "",
            ]
        # Raising would not do: the batch runner has a place for every error.
        self.violations += [f"{path} at {place} goes {objection}" for objection in objections if objection]

    def step(self) -> None:
        """A worker's step, its last perhaps."""
        if self.steps_left == 0:
            raise Killed
        self.steps_left -= 1

    @contextmanager
    def _killed_after(self, steps: int) -> Iterator[None]:
        self.steps_left = steps
        try:
            yield
        except Killed:
            pass
        finally:
            self.steps_left = -1

    def _set_copy(self, place: str, status: CopyStatus, *, verified: bool) -> None:
        self._sql(
            SET_COPY.text,
            package=self.package.id,
            place=place,
            status=status.value,
            verified=verified,
            was=["present", "corrupt", "missing"],
        )

    def _good_places(self) -> set[str]:
        """Where, in truth, all bytes of the package are: as a tar, or as raw files."""
        return {place for place in (*BUFFERS, *ARCHIVES, "ccat_source") if self._is_good(place)}

    def _is_good(self, place: str) -> bool:
        files = self.package.files if place == "ccat_source" else {self.package.path: self.package.content}
        paths = {self.observatory.folder(place) / path: content for path, content in files.items()}
        return all(path.is_file() and path.read_bytes() == content for path, content in paths.items())

    def _run_planned(self, place: str) -> None:
        with self.observatory.engine.connect() as connection:
            planned = list(connection.execute(PLANNED, {"place": place}).scalars())
        self.observatory.runner(deletion, place).run(planned)

    def _sql(self, statement: str, **values: object) -> None:
        with self.observatory.engine.begin() as connection:
            connection.execute(text(statement), values)

    def _places_with_copies(self) -> list[str]:
        with self.observatory.engine.connect() as connection:
            return list(connection.execute(STILL_THERE, {"places": list(PLACES)}).scalars())

    def _is_staging(self) -> bool:
        with self.observatory.engine.connect() as connection:
            live = "select count(*) from operation where kind = 'staging' and status not in ('completed', 'cancelled')"
            return bool(connection.execute(text(live)).scalar_one())

    def _wants_staging(self) -> bool:
        with self.observatory.engine.connect() as connection:
            return bool(connection.execute(text("select count(*) from staging_job where until > now()")).scalar_one())


class WatchedStorage(DiskStorage):
    """A folder that asks, before each deletion, whether it may be."""

    def __init__(self, machine: Deletions, place: str) -> None:
        super().__init__(machine.observatory.folder(place))
        self._machine, self._place = machine, place

    def stat(self, path: str):
        self._machine.step()
        return super().stat(path)

    def writing(self, path: str, *, durable: bool = True):
        self._machine.step()
        return super().writing(path, durable=durable)

    def flush(self) -> None:
        """Tests outlive no power cut."""

    def delete(self, path: str) -> bool:
        self._machine.step()
        self._machine.ask_before(self._place, path)
        return super().delete(path)


@pytest.mark.timeout(400)
def test_no_order_of_events_deletes_what_must_stay_and_what_may_go_goes(engine: Engine, tmp_path: Path, caplog):
    caplog.set_level(logging.CRITICAL)  # thousands of refusals, each with its traceback
    observatory = Observatory.build(engine, tmp_path / "observatory")
    run_state_machine_as_test(
        lambda: Deletions(observatory),
        settings=settings(
            max_examples=50,
            stateful_step_count=10,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
