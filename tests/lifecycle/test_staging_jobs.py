"""StagingJobs: what is accepted and what is refused, who may change them, and that deletion never comes between."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.explain.staging import explain_job, history_of_job, packages_of_job
from include.lifecycle.gate import Allowed, Refused
from include.lifecycle.staging_jobs import Asking, expire_jobs, extend_staging, release_staging, request_staging
from include.ops_db.apply import apply_topology
from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus, PackageState, StagingEvent, StagingState, WorkStatus
from include.ops_db.tables import LocationMeasurement, Operation, SpaceReservation, StagingJob
from include.stages import deletion, staging
from include.storage.disk import DiskStorage
from include.topology import OperationKind, Watermarks
from tests.lifecycle.archived import Archived, archived_package
from tests.observatory import Observatory

HERE = "cologne_processing"
JANE = Asking(person="jane", reason="a map of Orion", through="dts, jane@desk")
SIZE_BYTES = 600


def content(size_bytes: int = SIZE_BYTES) -> dict[str, bytes]:
    return {"16123/rfsoc01/a.g3": bytes(size_bytes)}


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory, content())


def in_hours(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def ask_for(*packages: Archived, by: str = "jane", until: datetime | None = None, **more: object) -> int:
    with Session(packages[0].observatory.engine) as session, session.begin():
        return request_staging(
            session,
            packages=[package.name for package in packages],
            location=HERE,
            until=until or in_hours(1),
            requested_by=by,
            reason="",
            **more,
        )


def extend(engine: Engine, job: int, until: datetime, by: Asking = JANE) -> None:
    with Session(engine) as session, session.begin():
        extend_staging(session, job_id=job, until=until, asking=by)


def release(engine: Engine, job: int, by: Asking = JANE) -> None:
    with Session(engine) as session, session.begin():
        release_staging(session, job_id=job, asking=by)


def jobs(engine: Engine) -> int:
    with Session(engine) as session:
        return len(session.scalars(select(StagingJob)).all())


def measured(observatory: Observatory, *, total_bytes: int, free_bytes: int) -> None:
    """A host has seen the processing location."""
    with Session(observatory.engine) as session, session.begin():
        session.add(
            LocationMeasurement(
                data_location_id=location_id(session, HERE),
                host="cologne",
                total_bytes=total_bytes,
                used_bytes=total_bytes - free_bytes,
                stored_bytes=0,
                stored_copies=0,
                counted_at=datetime.now(UTC),
            )
        )


# ---- room


def test_what_does_not_fit_is_refused_with_the_numbers_and_nothing_is_written(observatory, package):
    measured(observatory, total_bytes=10_000, free_bytes=1000)
    with pytest.raises(BadInputError) as refused:
        ask_for(package)
    assert "1 package with 600 B would have to come to cologne_processing, and 500 B are left" in str(refused.value)
    assert "1.0 kB of 10.0 kB are free" in str(refused.value)
    assert "500 B of them stay free" in str(refused.value)
    assert "--wait" in str(refused.value)
    assert jobs(observatory.engine) == 0


@pytest.mark.parametrize(("free_bytes", "fits"), [(2600, True), (2599, False)])
def test_what_lies_above_the_critical_mark_stays_free(observatory, package, free_bytes, fits):
    marks = Watermarks(low=0.5, high=0.6, critical=0.8)
    places = [
        place.model_copy(update={"watermarks": marks}) if place.full_name == HERE else place
        for place in observatory.topology.data_locations
    ]
    observatory.topology = observatory.topology.model_copy(update={"data_locations": tuple(places)})
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")
    measured(observatory, total_bytes=10_000, free_bytes=free_bytes)
    with nullcontext() if fits else pytest.raises(BadInputError, match=r"2\.0 kB of them stay free"):
        ask_for(package)
    assert jobs(observatory.engine) == int(fits)


def test_who_may_wait_is_accepted_all_the_same_and_is_promised_no_room(observatory, package):
    measured(observatory, total_bytes=10_000, free_bytes=700)
    ask_for(package, may_wait=True)
    ask_for(archived_package(observatory, content(200)))
    assert jobs(observatory.engine) == 2


def test_what_is_there_already_needs_no_room(observatory, package):
    package.stage()
    measured(observatory, total_bytes=10_000, free_bytes=0)
    ask_for(package)


def test_room_is_promised_once_for_what_two_jobs_ask_for(observatory, package):
    measured(observatory, total_bytes=10_000, free_bytes=1200)
    ask_for(package)
    ask_for(package, by="joe")
    with pytest.raises(BadInputError, match=r"600 B promised to other StagingJobs"):
        ask_for(archived_package(observatory, content(200)))


def test_what_is_being_written_counts_once_as_reserved(observatory, package):
    ask_for(package)
    observatory.plan(staging, HERE)
    (operation,) = observatory.operations(OperationKind.STAGING)
    with Session(observatory.engine) as session, session.begin():
        lease = {"status": "in_progress", "lease_token": 1, "lease_expires_at": in_hours(1)}
        session.execute(update(Operation).where(Operation.id == operation.id).values(**lease))
        here = location_id(session, HERE)
        session.add(SpaceReservation(operation_id=operation.id, lease_token=1, data_location_id=here, size_bytes=400))
    measured(observatory, total_bytes=10_000, free_bytes=1000)  # 200 of its 600 bytes are written
    with pytest.raises(BadInputError, match=r"100 B are left.*400 B are reserved.*0 B promised"):
        ask_for(archived_package(observatory, content(101)))
    ask_for(archived_package(observatory, content(100)))


def test_of_two_who_ask_at_once_for_the_last_room_one_gets_it(observatory, package):
    measured(observatory, total_bytes=10_000, free_bytes=1200)
    packages = [package, archived_package(observatory, content())]
    together = Barrier(2)

    def ask(mine: Archived) -> bool:
        together.wait()
        try:
            ask_for(mine)
        except BadInputError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ask, packages)) == [False, True]


# ---- what cannot be had


def missing_from_archives(package: Archived) -> Archived:
    for archive in ("cologne_archive", "us_archive"):
        package.change_copy(archive, status=CopyStatus.MISSING)
    return package


def test_what_belongs_to_an_observation_and_is_not_archived_yet_follows_and_the_rest_is_there(observatory, package):
    early = missing_from_archives(
        archived_package(observatory, {"16123/rfsoc01/b.g3": b"b"}, observation=package.observation)
    )
    early.change(state=PackageState.TRANSFERRING, archived_at=None)
    job = ask_for(package, also=[early.name])
    assert observatory.run(staging, HERE).completed == 1
    assert len(observatory.operations(OperationKind.STAGING)) == 1  # none for what no archive has

    with observatory.engine.connect() as connection:
        explained = explain_job(connection, job)
        there, missing = packages_of_job(connection, explained)
    assert (explained.status, explained.packages_done, explained.files_done) == ("pending", 1, 1)
    assert explained.sentence == "There are 1 of 2 packages, 1 of 2 files, 600 B of 601 B; 1 waiting."
    assert (there.status, there.why) == (WorkStatus.COMPLETED, "")
    assert missing.why == "It is not archived yet (transferring): it is staged once an archive has a verified copy."

    early.change(state=PackageState.ARCHIVED, archived_at=datetime.now(UTC))
    early.change_copy("us_archive", status=CopyStatus.PRESENT)
    assert observatory.run(staging, HERE).completed == 1
    with observatory.engine.connect() as connection:
        assert explain_job(connection, job).status == "completed"


def test_a_package_that_failed_is_named_with_the_reason_and_the_rest_is_there(observatory, package):
    damaged = archived_package(observatory, content(10))
    for archive in ("cologne_archive", "us_archive"):
        observatory.storages[archive].write(damaged.path, [b"rubbish"])
    job = ask_for(package, damaged)
    assert observatory.run(staging, HERE).completed == 1

    with observatory.engine.connect() as connection:
        explained = explain_job(connection, job)
        why = packages_of_job(connection, explained)[1].why
    assert (explained.status, explained.failed) == ("failed", 1)
    assert "1 cannot be had" in explained.sentence
    assert "cologne_archive, marked corrupt" in why
    assert package.statuses(HERE) == [CopyStatus.STAGED]


def test_what_no_archive_has_is_refused_by_name_unless_one_may_wait(observatory, package):
    early = missing_from_archives(archived_package(observatory, content()))
    with pytest.raises(BadInputError, match=f"No archive has a verified copy of {early.name}.*--wait"):
        ask_for(package, early)
    assert jobs(observatory.engine) == 0
    ask_for(package, early, may_wait=True)


def test_an_observation_of_which_nothing_is_archived_is_refused(observatory, package):
    missing_from_archives(package)
    with (
        Session(observatory.engine) as session,
        pytest.raises(BadInputError, match="verified copy of any of these 1 package yet"),
    ):
        request_staging(
            session,
            packages=[],
            also=[package.name],
            location=HERE,
            until=in_hours(1),
            requested_by="jane",
            reason="",
        )


def test_what_had_failed_is_tried_again_when_somebody_asks_anew(observatory, package):
    for archive in ("cologne_archive", "us_archive"):
        observatory.storages[archive].write(package.path, [b"rubbish"])
    ask_for(package)
    assert len(observatory.run(staging, HERE).failed) == 1
    for archive in ("cologne_archive", "us_archive"):
        observatory.storages[archive].write(package.path, [package.content])
        package.change_copy(archive, status=CopyStatus.PRESENT)
    job = ask_for(package, by="joe")
    (operation,) = observatory.operations(OperationKind.STAGING)
    assert (operation.status, operation.explanation[:12]) == (WorkStatus.PENDING, "Reset by joe")
    assert observatory.run(staging, HERE).completed == 1
    with observatory.engine.connect() as connection:
        assert explain_job(connection, job).status == "completed"


def test_what_nobody_wants_any_more_is_cancelled_instead_of_calling_a_person(observatory, package):
    for archive in ("cologne_archive", "us_archive"):
        observatory.storages[archive].write(package.path, [b"rubbish"])
    job = ask_for(package)
    observatory.run(staging, HERE)
    observatory.plan(staging, HERE)
    assert observatory.operations(OperationKind.STAGING)[0].status is WorkStatus.FAILED
    release(observatory.engine, job)
    observatory.plan(staging, HERE)
    assert observatory.operations(OperationKind.STAGING)[0].status is WorkStatus.CANCELLED


def test_while_a_package_comes_it_is_said_how_much_of_it_is_written(observatory, monkeypatch):
    """Its reservation shrinks, too: what is written is not counted a second time."""
    monkeypatch.setattr("include.lifecycle.staging_progress.PAUSE_SECONDS", 0.0)
    package = archived_package(observatory, {f"{number}.g3": bytes(100) for number in range(4)})
    job = ask_for(package)
    seen: list[tuple[str, int]] = []

    class Watched(DiskStorage):
        def writing(self, path: str, *, durable: bool = True):
            with observatory.engine.connect() as connection:
                explained = explain_job(connection, job)
            seen.append((explained.status, explained.size_bytes_done))
            return super().writing(path, durable=durable)

    observatory.storages[HERE] = Watched(observatory.folder(HERE))
    assert observatory.run(staging, HERE).completed == 1
    assert seen == [("in_progress", 0), ("in_progress", 100), ("in_progress", 200), ("in_progress", 300)]


# ---- extension and release


def test_the_owner_extends_and_it_stays_until_then(observatory, package):
    package.stage()
    job = ask_for(package)
    later = in_hours(3)
    extend(observatory.engine, job, later)
    assert "until" in package.refusal(HERE, at=in_hours(2))
    assert isinstance(package.ask(HERE, at=in_hours(4)), Allowed)


def test_the_owner_releases_and_deletion_takes_it_unless_another_job_protects_it(observatory, package):
    job, other = ask_for(package), ask_for(package, by="joe")
    observatory.run(staging, HERE)
    release(observatory.engine, job)
    assert "of joe keeps" in package.refusal(HERE)
    release(observatory.engine, other, Asking(person="joe"))
    assert observatory.run(deletion, HERE).completed == 1
    assert package.statuses(HERE) == [CopyStatus.DELETED]
    assert not (observatory.folder(HERE) / package.staged_folder).exists()


def test_a_job_released_while_its_files_come_leaves_nothing_behind(observatory, package):
    job = ask_for(package)

    class Released(type(observatory.storages["cologne_archive"])):
        def read(self, path: str, **part: int):
            release(observatory.engine, job)
            return super().read(path, **part)

    observatory.storages["cologne_archive"] = Released(observatory.folder("cologne_archive"))
    assert observatory.run(staging, HERE).completed == 1
    assert observatory.run(deletion, HERE).completed == 1
    assert not (observatory.folder(HERE) / package.staged_folder).exists()


@pytest.mark.parametrize("change", [lambda *a: extend(*a[:2], in_hours(3), *a[2:]), release], ids=["extend", "release"])
class TestWhoMayChangeIt:
    def test_a_stranger_may_not(self, observatory, package, change: Callable):
        job = ask_for(package)
        with pytest.raises(
            BadInputError, match=r"is jane's: only jane or an operator \(operator, admin\).*you are joe"
        ):
            change(observatory.engine, job, Asking(person="joe"))
        with observatory.engine.connect() as connection:
            assert [each.event for each in history_of_job(connection, job)] == [StagingEvent.REQUESTED]

    def test_an_operator_may_and_it_is_written_who_it_was(self, observatory, package, change: Callable):
        job = ask_for(package)
        change(observatory.engine, job, Asking(person="operator", reason="maintenance", through="dts, root@cologne"))
        with observatory.engine.connect() as connection:
            last = history_of_job(connection, job)[-1]
        assert (last.person, last.reason, last.asked_through) == ("operator", "maintenance", "dts, root@cologne")

    def test_one_that_is_over_never_comes_back(self, observatory, package, change: Callable):
        job = ask_for(package)
        let_it_end(observatory.engine, job)
        with pytest.raises(BadInputError, match=f"StagingJob {job} ended at .*ask for them anew"):
            change(observatory.engine, job)
        other = ask_for(package)
        release(observatory.engine, other)
        with pytest.raises(BadInputError, match=f"StagingJob {other} was released"):
            change(observatory.engine, other)

    def test_one_that_does_not_exist_is_said_not_to(self, observatory, change: Callable):
        with pytest.raises(BadInputError, match="There is no StagingJob 4711"):
            change(observatory.engine, 4711)

    def test_nobody_may_not(self, observatory, package, change: Callable):
        job = ask_for(package)
        with pytest.raises(BadInputError, match="name of the person"):
            change(observatory.engine, job, Asking(person=" "))


def test_an_extension_is_later_or_none(observatory, package):
    until = in_hours(2)
    job = ask_for(package, until=until)
    for wrong in (until, in_hours(1), in_hours(-1)):
        with pytest.raises(BadInputError, match="is not later"):
            extend(observatory.engine, job, wrong)
    with pytest.raises(BadInputError, match="time zone"):
        extend(observatory.engine, job, datetime(2099, 1, 1))  # noqa: DTZ001 - that is what it is about


def test_its_history_has_everything_that_happened_and_is_never_changed(observatory, package):
    job = ask_for(package, asked_through="dts, jane@desk")
    extend(observatory.engine, job, in_hours(2))
    let_it_end(observatory.engine, job)
    with Session(observatory.engine) as session, session.begin():
        expire_jobs(session, data_location_id=location_id(session, HERE), now=datetime.now(UTC))
        expire_jobs(session, data_location_id=location_id(session, HERE), now=datetime.now(UTC))
        assert session.get_one(StagingJob, job).state is StagingState.EXPIRED
    with observatory.engine.connect() as connection:
        events = [(each.event, each.person) for each in history_of_job(connection, job)]
    assert events == [
        (StagingEvent.REQUESTED, "jane"),
        (StagingEvent.EXTENDED, "jane"),
        (StagingEvent.EXPIRED, None),
    ]
    for change in ("update staging_job_event set person = 'joe'", "delete from staging_job_event"):
        with pytest.raises(DBAPIError, match="never changed"), observatory.engine.begin() as connection:
            connection.execute(text(change))


# ---- deletion and extension at the same moment


def test_an_extension_that_comes_while_deletion_is_allowed_is_refused(observatory, package):
    """Its transaction began before the job's end, the gate's after it; the gate is the first at the package."""
    package.stage()
    engine = observatory.engine
    job = ask_for(package)
    with Session(engine) as late, Session(engine) as gate, ThreadPoolExecutor(1) as pool:
        until_soon(engine, job)
        began = late.execute(text("select now(), pg_backend_pid()")).one()
        await_end(engine, job)
        assert isinstance(package.ask_in(gate, HERE), Allowed)
        extension = pool.submit(extend_staging, late, job_id=job, until=in_hours(1), asking=JANE)
        await_lock(engine, began.pg_backend_pid)
        gate.commit()
        with pytest.raises(BadInputError, match="ended at"):
            extension.result()
        late.rollback()
    assert package.statuses(HERE) == [CopyStatus.DELETION_IN_PROGRESS]


def test_deletion_that_comes_while_a_job_is_extended_is_refused(observatory, package):
    """The extension is the first at the package, a moment before the job's end; the gate asks after that."""
    package.stage()
    engine = observatory.engine
    job = ask_for(package)
    with Session(engine) as early, Session(engine) as gate, ThreadPoolExecutor(1) as pool:
        pid = gate.execute(text("select pg_backend_pid()")).scalar_one()
        until_soon(engine, job)
        extend_staging(early, job_id=job, until=in_hours(1), asking=JANE)
        await_end(engine, job)
        answer: Future = pool.submit(package.ask_in, gate, HERE)
        await_lock(engine, pid)
        early.commit()
        assert isinstance(answer.result(), Refused)
        assert f"Staging job {job} of jane keeps" in answer.result().reason
        gate.rollback()
    assert package.statuses(HERE) == [CopyStatus.STAGED]


def test_a_plan_that_closes_jobs_does_not_close_one_that_is_extended_at_that_moment(observatory, package):
    engine = observatory.engine
    job = ask_for(package)
    with Session(engine) as early, Session(engine) as plan, ThreadPoolExecutor(1) as pool:
        pid = plan.execute(text("select pg_backend_pid()")).scalar_one()
        here = location_id(plan, HERE)
        until_soon(engine, job)
        extend_staging(early, job_id=job, until=in_hours(1), asking=JANE)
        closed = pool.submit(expire_jobs, plan, data_location_id=here, now=in_hours(0.5))
        await_lock(engine, pid)
        early.commit()
        closed.result()
        plan.commit()
    with Session(engine) as session:
        assert session.get_one(StagingJob, job).state is StagingState.ACTIVE


def until_soon(engine: Engine, job: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("update staging_job set until = clock_timestamp() + interval '0.15 seconds' where id = :job"),
            {"job": job},
        )


def let_it_end(engine: Engine, job: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("update staging_job set until = now() - interval '1 second' where id = :job"), {"job": job}
        )


def await_end(engine: Engine, job: int) -> None:
    """Until the date that others see has come."""
    await_true(engine, "select until < clock_timestamp() from staging_job where id = :it", job)


def await_lock(engine: Engine, pid: int) -> None:
    """Until that session waits for another."""
    await_true(engine, "select wait_event_type = 'Lock' from pg_stat_activity where pid = :it", pid)


def await_true(engine: Engine, question: str, it: int) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(text(question), {"it": it}).scalar_one():
            pass
