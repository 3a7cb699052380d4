"""What the gate asks, one test a question; and that it lets go what may go."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, delete, select, text, update
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle.gate import Allowed, NothingToDelete, Refused
from include.lifecycle.package_lock import lock_package
from include.ops_db.places import location_ids
from include.ops_db.states import BundleState, CopyStatus, PackageState, StagingState, WorkStatus
from include.ops_db.tables import (
    DataTransfer,
    DataTransferPackage,
    DataTransferPackageMember,
    Operation,
    PhysicalCopy,
    RawDataFile,
)
from include.topology import MovedBy, OperationKind, Route, Topology
from tests.lifecycle.archived import ARCHIVES, BUFFERS, FILES, Archived, archived_package
from tests.observatory import Observatory

EVERYWHERE = ("ccat_source", *BUFFERS, "cologne_processing")


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    package = archived_package(observatory)
    package.stage()
    return package


@pytest.mark.parametrize("location", EVERYWHERE)
def test_what_is_safe_and_unwanted_may_go(package, location):
    answer = package.ask(location)

    assert isinstance(answer, Allowed)
    assert "2 verified archive copies at 2 sites (cologne_archive, us_archive)" in answer.reason
    assert set(package.statuses(location)) == {CopyStatus.DELETION_IN_PROGRESS}


def test_the_record_has_the_evidence_and_the_numbers(package):
    answer = package.ask("ccat_source")

    (record,) = package.records()
    assert isinstance(answer, Allowed)
    assert record.id == answer.deletion_record_id
    assert (record.copy_count, record.size_bytes) == (len(FILES), sum(map(len, FILES.values())))
    assert (record.operation_id, record.run_id, record.requested_by) == (7, "test-run", "tests")
    assert record.reason == answer.reason
    assert [(copy["location"], copy["site"], copy["checksum"]) for copy in record.evidence] == [
        ("cologne_archive", "cologne", package.manifest.checksum),
        ("us_archive", "us", package.manifest.checksum),
    ]
    assert all(datetime.fromisoformat(copy["verified_at"]) <= datetime.now(UTC) for copy in record.evidence)


@pytest.mark.parametrize("location", ARCHIVES)
def test_nothing_is_ever_deleted_from_an_archive(package, location):
    assert package.refusal(location) == f"{location} is a long-term archive: nothing is ever deleted there."


@pytest.mark.parametrize("state", [PackageState.WAITING, PackageState.TRANSFERRING, PackageState.FAILED])
def test_a_package_that_is_not_archived_stays(package, state):
    package.change(state=state)
    assert f"is {state}, not archived" in package.refusal("ccat_source")


def test_a_package_without_a_time_of_archiving_stays(package):
    package.change(archived_at=None)
    assert "not archived" in package.refusal("ccat_buffer")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"status": CopyStatus.CORRUPT}, "corrupt"),
        ({"status": CopyStatus.MISSING}, "missing"),
        ({"status": CopyStatus.DELETED}, "deleted"),
        ({"status": CopyStatus.DELETION_POSSIBLE}, "deletion_possible"),
        ({"verified_at": None}, "never verified"),
        ({"checksum": "xxh3-128:0"}, "its checksum or size is not the package's"),
        ({"checksum": None}, "its checksum or size is not the package's"),
        ({"size_bytes": 1}, "its checksum or size is not the package's"),
        ({"wanted": False}, "not meant to stay"),
    ],
)
@pytest.mark.parametrize("location", EVERYWHERE)
def test_an_archive_copy_that_is_not_verified_and_meant_to_stay_does_not_count(package, location, values, why):
    package.change_copy("us_archive", **values)

    assert package.refusal(location) == (
        f"{package.name} has 1 verified archive copy at 1 site, and 2 at 2 are needed; not counted: us_archive ({why})."
    )
    assert package.records() == []
    assert not set(package.statuses(location)) & {CopyStatus.DELETION_IN_PROGRESS}


def test_two_archive_copies_at_one_site_are_not_copies_at_two_sites(package):
    with Session(package.observatory.engine) as session, session.begin():
        session.execute(text("update data_location set site = 'cologne' where full_name = 'us_archive'"))

    assert "2 verified archive copies at 1 site, and 2 at 2 are needed" in package.refusal("ccat_source")


def test_verified_copies_in_buffers_are_no_archive_copies(package):
    for archive in ARCHIVES:
        package.change_copy(archive, status=CopyStatus.CORRUPT)
    assert "has 0 verified archive copies at 0 sites" in package.refusal("ccat_buffer")


@pytest.mark.parametrize("column", ["offset_bytes", "checksum"])
def test_raw_files_stay_if_one_of_them_is_not_in_the_package_with_its_checksum(package, column):
    path = sorted(FILES)[1]
    with Session(package.observatory.engine) as session, session.begin():
        session.execute(update(RawDataFile).where(RawDataFile.path == path).values({column: None}))

    assert package.refusal("ccat_source") == (
        f"1 of 2 files are in {package.name} with their checksums; '{path}' is not."
    )


def test_raw_files_stay_if_the_package_should_have_more_of_them(package):
    package.change(file_count=3)
    assert f"2 of 3 files are in {package.name}" in package.refusal("ccat_source")


def test_raw_files_stay_until_another_site_has_unpacked_the_package(package):
    with Session(package.observatory.engine) as session, session.begin():
        session.execute(update(DataTransfer).values(unpacking_status=WorkStatus.CANCELLED))

    assert "No other site has unpacked" in package.refusal("ccat_source")


def test_raw_files_of_what_went_straight_into_archives_may_go_though_nobody_unpacked_it(package):
    topology = package.observatory.topology
    ways = [("ccat_buffer", "cologne_archive"), ("cologne_archive", "us_archive")]
    direct = tuple(Route(from_location=begins, to_location=ends, moved_by=MovedBy.DIRECT) for begins, ends in ways)
    with Session(package.observatory.engine) as session, session.begin():
        session.execute(update(DataTransfer).values(unpacking_status=WorkStatus.CANCELLED))
    package.observatory.topology = topology.model_copy(update={"routes": direct})

    package.change_copy("cologne_archive", verified_at=None)
    assert "1 verified archive copy at 1 site" in package.refusal("ccat_source")
    package.change_copy("cologne_archive", verified_at=datetime.now(UTC))
    assert isinstance(package.ask("ccat_source"), Allowed)


def test_a_raw_file_that_another_observation_filed_too_stays(observatory):
    first, second = archived_package(observatory), archived_package(observatory)

    reason = first.refusal("ccat_source")
    assert f"is also filed for observation {second.observation}" in reason
    assert min(FILES) in reason


def test_everything_stays_for_the_grace_period(package):
    archived_at = datetime.now(UTC)
    package.change(archived_at=archived_at)
    week = package.observatory.topology.policy.model_copy(update={"deletion_grace_seconds": 604800})
    package.observatory.topology = package.observatory.topology.model_copy(update={"policy": week})

    reason = package.refusal("ccat_source", at=archived_at + timedelta(days=7, seconds=-1))
    assert f"stays for 604800 seconds, until {archived_at + timedelta(days=7):%Y-%m-%d %H:%M:%S} UTC" in reason
    assert isinstance(package.ask("ccat_source", at=archived_at + timedelta(days=7)), Allowed)


def test_staged_files_stay_until_the_last_active_job_is_over(package):
    soon, later = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) + timedelta(hours=2)
    package.staging_job(until=soon)
    job = package.staging_job(until=later)

    assert package.refusal("cologne_processing", at=soon + timedelta(seconds=1)) == (
        f"Staging job {job} of jane keeps {package.name} at cologne_processing until {later:%Y-%m-%d %H:%M:%S} UTC."
    )
    assert isinstance(package.ask("cologne_processing", at=later), Allowed)


def test_a_staging_job_keeps_nothing_anywhere_else(package):
    package.staging_job(until=datetime.now(UTC) + timedelta(hours=1))
    assert isinstance(package.ask("cologne_buffer"), Allowed)


def test_an_expired_job_keeps_nothing(package):
    package.staging_job(until=datetime.now(UTC) + timedelta(hours=1), state=StagingState.EXPIRED)
    assert isinstance(package.ask("cologne_processing"), Allowed)


def test_a_buffer_copy_stays_until_the_archive_of_its_site_has_its_own(package):
    asks_for_one(package)
    package.change_copy("us_archive", status=CopyStatus.CORRUPT)

    assert package.refusal("us_buffer") == (
        f"us_archive has no verified copy of {package.name} yet, and gets it from here."
    )


def test_the_copy_that_arrived_by_the_primary_transfer_stays_until_the_other_archives_have_theirs(package):
    asks_for_one(package)
    package.change_copy("us_archive", status=CopyStatus.MISSING)

    assert package.refusal("cologne_buffer") == (
        f"The archive at us has no verified copy of {package.name} yet, and gets it from here."
    )


def test_the_origin_of_the_primary_transfer_is_not_needed_for_further_archives(package):
    asks_for_one(package)
    package.change_copy("us_archive", status=CopyStatus.MISSING)
    assert isinstance(package.ask("ccat_buffer"), Allowed)


@pytest.mark.parametrize("status", ["pending", "scheduled", "in_progress", "failed"])
@pytest.mark.parametrize(
    ("kind", "works_at", "location"),
    [
        (OperationKind.PACKAGING, "ccat_source", "ccat_source"),
        (OperationKind.PACKAGING, "ccat_source", "ccat_buffer"),
        (OperationKind.ARCHIVING, "cologne_archive", "cologne_buffer"),
    ],
)
def test_what_a_living_operation_reads_or_writes_stays(package, kind, works_at, location, status):
    operation = add_operation(package, kind=kind, works_at=works_at, status=status)

    assert package.refusal(location) == (
        f"{package.name} is still in use at {location}: operation {operation} ({kind} at {works_at}) is {status}."
    )


@pytest.mark.parametrize("status", [WorkStatus.COMPLETED, WorkStatus.CANCELLED])
def test_an_operation_that_is_over_keeps_nothing(package, status):
    add_operation(package, kind=OperationKind.ARCHIVING, works_at="cologne_archive", status=status)
    assert isinstance(package.ask("cologne_buffer"), Allowed)


def test_archiving_at_one_site_keeps_nothing_at_another(package):
    add_operation(package, kind=OperationKind.ARCHIVING, works_at="us_archive", status=WorkStatus.IN_PROGRESS)
    assert isinstance(package.ask("cologne_buffer"), Allowed)


def test_staged_files_stay_while_staging_is_at_work_there(package):
    add_operation(package, kind=OperationKind.STAGING, works_at="cologne_processing", status=WorkStatus.IN_PROGRESS)
    assert "(staging at cologne_processing) is in_progress" in package.refusal("cologne_processing")


def test_a_staging_operation_that_nobody_works_on_keeps_nothing(package):
    add_operation(package, kind=OperationKind.STAGING, works_at="cologne_processing", status=WorkStatus.FAILED)
    assert isinstance(package.ask("cologne_processing"), Allowed)


@pytest.mark.parametrize(
    ("transfer", "unpacking"),
    [("pending", "pending"), ("in_progress", "pending"), ("completed", "pending"), ("completed", "in_progress")],
)
@pytest.mark.parametrize("location", ["cologne_buffer", "us_buffer"])
def test_origin_and_destination_of_a_transfer_stay_until_it_is_unpacked(package, location, transfer, unpacking):
    add_bundle(package, transfer=WorkStatus(transfer), unpacking=WorkStatus(unpacking))

    reason = package.refusal(location)
    assert "from cologne_buffer to us_buffer is not finished" in reason
    assert f"(transfer {transfer}, unpacking {unpacking})" in reason
    assert isinstance(package.ask("ccat_buffer"), Allowed)


def test_a_transfer_that_was_given_up_keeps_nothing(package):
    add_bundle(package, transfer=WorkStatus.CANCELLED, unpacking=WorkStatus.PENDING)
    assert isinstance(package.ask("cologne_buffer"), Allowed)


def test_what_is_in_an_open_bundle_stays_where_it_leaves_from(package):
    bundle = add_bundle(package, transfer=None)

    assert package.refusal("cologne_buffer") == (
        f"{package.name} is still in use at cologne_buffer: bundle {bundle} from cologne_buffer to us_buffer is not on"
        " its way yet."
    )
    assert isinstance(package.ask("us_buffer"), Allowed)


def test_where_nothing_is_left_there_is_nothing_to_decide(package):
    with Session(package.observatory.engine) as session, session.begin():
        session.execute(delete(PhysicalCopy).where(PhysicalCopy.path == package.staged_folder))

    answer = package.ask("cologne_processing")
    assert isinstance(answer, NothingToDelete)
    assert answer.reason == f"Nothing of {package.name} is left at cologne_processing."


def test_a_deletion_that_had_begun_is_asked_about_again(package):
    assert isinstance(package.ask("ccat_source"), Allowed)
    package.change_copy("us_archive", status=CopyStatus.CORRUPT)

    answer = package.ask("ccat_source")
    assert isinstance(answer, Refused)
    assert len(answer.begun) == len(FILES)
    assert len(package.records()) == 1


def test_an_unknown_package_is_named(observatory):
    package = archived_package(observatory)
    object.__setattr__(package, "id", 4711)
    with pytest.raises(BadInputError, match="4711"):
        package.ask("ccat_source")


def test_a_transaction_that_would_not_see_what_happened_before_its_lock_is_refused(package, engine: Engine):
    with (
        Session(engine.execution_options(isolation_level="REPEATABLE READ")) as session,
        pytest.raises(RuntimeError, match="repeatable read"),
    ):
        package.ask_in(session, "ccat_source")


def test_an_archive_copy_that_turns_corrupt_while_the_gate_waits_for_the_lock_is_seen(package, engine: Engine):
    """Write skew: the answer must rest on what is true once the lock is there, not on what was true before."""
    with ThreadPoolExecutor(1) as threads, Session(engine) as scrubbing:
        lock_package(scrubbing, package.id)
        deletion = threads.submit(package.ask, "ccat_source")
        wait_until_blocked(engine)
        here = location_ids(scrubbing)["us_archive"]
        scrubbing.execute(
            update(PhysicalCopy)
            .where(PhysicalCopy.raw_data_package_id == package.id, PhysicalCopy.data_location_id == here)
            .values(status=CopyStatus.CORRUPT)
        )
        scrubbing.commit()
        answer = deletion.result()

    assert isinstance(answer, Refused)
    assert "us_archive (corrupt)" in answer.reason


def test_an_archive_copy_cannot_turn_corrupt_between_the_gates_answer_and_its_commit(package, engine: Engine):
    with ThreadPoolExecutor(1) as threads, Session(engine) as deleting:
        assert isinstance(package.ask_in(deleting, "ccat_source"), Allowed)
        scrubbing = threads.submit(package.change_copy, "us_archive", status=CopyStatus.CORRUPT)
        wait_until_blocked(engine)
        assert package.statuses("us_archive") == [CopyStatus.PRESENT]
        deleting.commit()
        scrubbing.result()

    assert "us_archive (corrupt)" in package.refusal("ccat_buffer")


def test_deletions_everywhere_at_once_while_an_archive_copy_turns_corrupt_never_go_on_after_it(observatory, engine):
    """Whatever the order turns out to be: each deletion on record came before the copy turned corrupt."""
    for _ in range(10):
        package = archived_package(observatory, {f"{datetime.now(UTC).timestamp()}.g3": b"content"})
        together = threading.Barrier(5)

        def ask(location: str, package: Archived = package, together: threading.Barrier = together):
            together.wait()
            return location, package.ask(location)

        def spoil(package: Archived = package, together: threading.Barrier = together):
            together.wait()
            package.change_copy("us_archive", status=CopyStatus.CORRUPT, checksum=None)

        with ThreadPoolExecutor(5) as threads:
            asked = [threads.submit(ask, location) for location in ("ccat_source", *BUFFERS)]
            threads.submit(spoil).result()
            answers = dict(future.result() for future in asked)

        allowed = {location for location, answer in answers.items() if isinstance(answer, Allowed)}
        assert {location for location in answers if CopyStatus.PRESENT not in package.statuses(location)} == allowed
        assert [len(record.evidence) for record in package.records()] == [2] * len(allowed)
        assert all(copy["checksum"] == package.manifest.checksum for r in package.records() for copy in r.evidence)
        for location in answers:
            assert isinstance(package.ask(location), Refused)


def asks_for_one(package: Archived) -> None:
    """A policy under which one archive copy is enough."""
    topology: Topology = package.observatory.topology
    policy = topology.policy.model_copy(update={"archive_copies": 1, "archive_sites": 1})
    package.observatory.topology = topology.model_copy(update={"policy": policy})


def add_operation(package: Archived, *, kind: OperationKind, works_at: str, status: WorkStatus) -> int:
    with Session(package.observatory.engine) as session, session.begin():
        operation = Operation(
            kind=kind,
            data_location_id=location_ids(session)[works_at],
            raw_data_package_id=package.id,
            status=status,
            explanation="A test's.",
        )
        session.add(operation)
        session.flush()
        return operation.id


def add_bundle(package: Archived, *, transfer: WorkStatus | None, unpacking: WorkStatus = WorkStatus.PENDING) -> int:
    """From cologne to us once more; without a transfer it is open."""
    with Session(package.observatory.engine) as session, session.begin():
        places = location_ids(session)
        bundle = DataTransferPackage(
            origin_location_id=places["cologne_buffer"],
            destination_location_id=places["us_buffer"],
            is_primary=False,
            state=BundleState.OPEN if transfer is None else BundleState.CLOSED,
            closes_at=datetime.now(UTC),
        )
        session.add(bundle)
        session.flush()
        session.add(DataTransferPackageMember(data_transfer_package_id=bundle.id, raw_data_package_id=package.id))
        if transfer is not None:
            session.add(
                DataTransfer(
                    data_transfer_package_id=bundle.id,
                    origin_location_id=bundle.origin_location_id,
                    destination_location_id=bundle.destination_location_id,
                    transfer_status=transfer,
                    unpacking_status=unpacking,
                )
            )
        return bundle.id


def wait_until_blocked(engine: Engine) -> None:
    """Return once some transaction of this database waits for a lock."""
    blocked = text(
        "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
    )
    ends_at = datetime.now(UTC) + timedelta(seconds=10)
    while datetime.now(UTC) < ends_at:
        with engine.connect() as connection:
            if connection.execute(blocked).scalar_one():
                return
    raise AssertionError("nobody waits for a lock")


def test_the_gates_questions_leave_no_trace_when_it_refuses(package):
    package.change(state=PackageState.WAITING)
    with Session(package.observatory.engine) as session:
        before = session.execute(select(text("sum(xmin::text::bigint) from physical_copy"))).scalar_one()
        package.refusal("ccat_source")
        session.rollback()
        assert session.execute(select(text("sum(xmin::text::bigint) from physical_copy"))).scalar_one() == before
