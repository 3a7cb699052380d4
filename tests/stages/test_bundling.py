"""Bundling: what leaves a buffer goes once, in turn to the archives, in bundles that never change once closed."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.orm import Session

from include.operations.batch import BatchReport
from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.ops_db.tables import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferPackageMember,
    ExecutedObsUnit,
    InstrumentModule,
    PhysicalCopy,
    RawDataPackage,
)
from include.plurals import counted
from include.stages import bundling
from include.topology import OperationKind
from tests.observatory import Observatory, new_observation
from tests.stages.filed import STARTED_AT, add_location

CCAT, COLOGNE, US = "ccat_buffer", "cologne_buffer", "us_buffer"
_numbers = count(1)


@pytest.fixture
def patient(engine: Engine, tmp_path: Path) -> Observatory:
    """Bundles stay open for long and close at 100 bytes."""
    return Observatory.build(engine, tmp_path / "patient", bundle_max_age_seconds=600, bundle_max_bytes=100)


def add_package(observatory: Observatory, *, size: int = 10, buffer: str = CCAT, source: str = "ccat_source") -> int:
    """A package of an observation of its own, made and present in a buffer."""
    with Session(observatory.engine) as session, session.begin():
        module = session.scalars(select(InstrumentModule).order_by(InstrumentModule.id)).first()
        assert module is not None
        observation = new_observation()
        session.add(ExecutedObsUnit(id=observation, instrument_id=module.instrument_id, started_at=STARTED_AT))
        session.flush()
        name = f"package-{next(_numbers)}"
        package = RawDataPackage(
            name=name,
            executed_obs_unit_id=observation,
            instrument_module_id=module.id,
            source_location_id=location_id(session, source),
            number=1,
            path=f"{name}.tar",
            file_count=1,
            content_bytes=size,
            size_bytes=size,
            packaged_at=datetime.now(UTC),
        )
        session.add(package)
        session.flush()
        package_id = package.id
    add_copy(observatory, package_id, buffer, verified=False)
    return package_id


def add_copy(
    observatory: Observatory, package_id: int, location: str, *, verified: bool = True, status: str = CopyStatus.PRESENT
) -> None:
    with Session(observatory.engine) as session, session.begin():
        package = session.get_one(RawDataPackage, package_id)
        session.add(
            PhysicalCopy(
                raw_data_package_id=package_id,
                data_location_id=location_id(session, location),
                path=package.path,
                size_bytes=package.size_bytes or 0,
                status=CopyStatus(status),
                verified_at=datetime.now(UTC) if verified else None,
            )
        )


def bundles(observatory: Observatory) -> list[tuple[str, str, list[int]]]:
    """Destination, state and packages of every bundle, in the order in which they were opened."""
    with Session(observatory.engine) as session:
        rows = session.execute(
            select(DataTransferPackage, DataLocation.full_name)
            .join(DataLocation, DataLocation.id == DataTransferPackage.destination_location_id)
            .order_by(DataTransferPackage.id)
        ).all()
        return [(full_name, str(bundle.state), members_of(session, bundle.id)) for bundle, full_name in rows]


def members_of(session: Session, bundle_id: int) -> list[int]:
    member = DataTransferPackageMember
    return list(
        session.scalars(
            select(member.raw_data_package_id)
            .where(member.data_transfer_package_id == bundle_id)
            .order_by(member.raw_data_package_id)
        )
    )


def transfers(observatory: Observatory) -> list[DataTransfer]:
    with Session(observatory.engine) as session:
        return list(session.scalars(select(DataTransfer).order_by(DataTransfer.id)))


def bundle_at(observatory: Observatory, *places: str) -> BatchReport:
    report = BatchReport()
    for place in places or (CCAT,):
        report.completed += observatory.run(bundling, place).completed
    return report


def settle_transfers(
    observatory: Observatory,
    *,
    transfer: WorkStatus = WorkStatus.COMPLETED,
    unpacking: WorkStatus = WorkStatus.COMPLETED,
) -> None:
    """What transfer and unpacking write: statuses, and verified copies where it arrived."""
    with observatory.engine.begin() as connection:
        values = {"transfer": transfer, "unpacking": unpacking}
        settled = connection.execute(
            text(
                "update data_transfer set transfer_status = :transfer, unpacking_status = :unpacking"
                " where transfer_status = 'pending' returning data_transfer_package_id"
            ),
            values,
        )
        ids = [row.data_transfer_package_id for row in settled]
        if unpacking is WorkStatus.COMPLETED:
            connection.execute(
                text(
                    "insert into physical_copy"
                    " (raw_data_package_id, data_location_id, path, size_bytes, status, verified_at)"
                    " select p.id, b.destination_location_id, p.path, p.size_bytes, 'present', now()"
                    " from data_transfer_package b"
                    " join data_transfer_package_member m on m.data_transfer_package_id = b.id"
                    " join raw_data_package p on p.id = m.raw_data_package_id where b.id = any(:ids)"
                ),
                {"ids": ids},
            )


def archive(observatory: Observatory, package_id: int, location: str, *, status: str = CopyStatus.PRESENT) -> None:
    add_copy(observatory, package_id, location, status=status)
    with observatory.engine.begin() as connection:
        connection.execute(
            text("update raw_data_package set state = 'archived', archived_at = now() where id = :id"),
            {"id": package_id},
        )


def state_of(observatory: Observatory, package_id: int) -> PackageState:
    with Session(observatory.engine) as session:
        return session.get_one(RawDataPackage, package_id).state


def pass_time(observatory: Observatory) -> None:
    """Every open bundle is old enough to close."""
    with observatory.engine.begin() as connection:
        connection.execute(text("update data_transfer_package set closes_at = now() where state = 'open'"))
        connection.execute(
            text("update operation set not_before = now() where kind = 'bundling' and status = 'pending'")
        )


@contextmanager
def locked(engine: Engine, package_id: int) -> Iterator[None]:
    """Somebody else is recording something about a package."""
    with engine.begin() as connection:
        connection.execute(text("select from raw_data_package where id = :id for no key update"), {"id": package_id})
        yield


def wait_until_blocked(engine: Engine, future: Future[Any]) -> None:
    """Until somebody waits for a row's lock, or the future is done without."""
    waiting = text(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 30
    while not future.done() and time.monotonic() < deadline:
        with engine.connect() as connection:
            if connection.execute(waiting).scalar_one():
                return
    assert future.done()


# Primary


def test_packages_of_several_observations_leave_in_one_bundle_oldest_first(observatory: Observatory) -> None:
    packages = [add_package(observatory) for _ in range(3)]
    assert bundle_at(observatory).completed == 1
    assert bundles(observatory) == [(COLOGNE, "closed", packages)]
    (transfer,) = transfers(observatory)
    assert (transfer.transfer_status, transfer.unpacking_status) == (WorkStatus.PENDING, WorkStatus.PENDING)
    assert {state_of(observatory, package) for package in packages} == {PackageState.TRANSFERRING}
    (operation,) = observatory.operations(OperationKind.BUNDLING)
    assert "closed with 3 packages of 30 bytes" in operation.explanation
    assert "cologne_buffer pulls it next" in operation.explanation


def test_bundles_go_to_the_archive_sites_in_turn(observatory: Observatory) -> None:
    for _ in range(4):
        add_package(observatory)
        bundle_at(observatory)
    assert [destination for destination, _, _ in bundles(observatory)] == [COLOGNE, US, COLOGNE, US]


def test_turns_hold_when_one_plan_opens_several_bundles(patient: Observatory) -> None:
    packages = [add_package(patient, size=100) for _ in range(5)]
    while len(bundles(patient)) < 5 or bundle_at(patient).completed:
        bundle_at(patient)
    assert bundles(patient) == [
        (destination, "closed", [package])
        for destination, package in zip([COLOGNE, US, COLOGNE, US, COLOGNE], packages, strict=True)
    ]


def test_turns_are_per_site_whichever_of_its_buffers_the_data_leaves(observatory: Observatory) -> None:
    add_location(observatory, like=CCAT, name="spare", priority=900)
    for buffer in (CCAT, "ccat_spare", CCAT, "ccat_spare"):
        add_package(observatory, buffer=buffer)
        bundle_at(observatory, buffer)
    assert [destination for destination, _, _ in bundles(observatory)] == [COLOGNE, US, COLOGNE, US]


def test_a_package_that_is_not_in_the_buffer_any_more_does_not_leave(observatory: Observatory) -> None:
    package = add_package(observatory)
    with observatory.engine.begin() as connection:
        connection.execute(
            text("update physical_copy set status = 'missing' where raw_data_package_id = :id"), {"id": package}
        )
    bundle_at(observatory)
    assert bundles(observatory) == []


def test_an_archived_package_does_not_leave_again(observatory: Observatory) -> None:
    archive(observatory, add_package(observatory), "cologne_archive")
    bundle_at(observatory)
    assert bundles(observatory) == []


@pytest.mark.parametrize("status", [WorkStatus.FAILED, WorkStatus.CANCELLED])
def test_a_package_whose_transfer_was_given_up_goes_again(observatory: Observatory, status: WorkStatus) -> None:
    package = add_package(observatory)
    bundle_at(observatory)
    settle_transfers(observatory, transfer=status, unpacking=WorkStatus.PENDING)
    bundle_at(observatory)
    assert bundles(observatory) == [(COLOGNE, "closed", [package]), (US, "closed", [package])]


@pytest.mark.parametrize(
    ("transfer", "unpacking"),
    [
        (WorkStatus.PENDING, WorkStatus.PENDING),
        (WorkStatus.IN_PROGRESS, WorkStatus.PENDING),
        (WorkStatus.COMPLETED, WorkStatus.PENDING),
        (WorkStatus.COMPLETED, WorkStatus.FAILED),
        (WorkStatus.COMPLETED, WorkStatus.COMPLETED),
    ],
)
def test_a_package_that_is_under_way_or_there_leaves_once(
    observatory: Observatory, transfer: WorkStatus, unpacking: WorkStatus
) -> None:
    add_package(observatory)
    bundle_at(observatory)
    settle_transfers(observatory, transfer=transfer, unpacking=unpacking)
    bundle_at(observatory)
    assert len(bundles(observatory)) == 1


def lose(observatory: Observatory, package_id: int, location: str, status: CopyStatus) -> None:
    """What a stage writes that finds a verified copy damaged or gone."""
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                "update physical_copy c set status = :status from data_location l"
                " where l.id = c.data_location_id and l.full_name = :location and c.raw_data_package_id = :id"
            ),
            {"status": status, "location": location, "id": package_id},
        )


@pytest.mark.parametrize("status", [CopyStatus.CORRUPT, CopyStatus.MISSING])
def test_a_package_that_was_lost_where_it_arrived_goes_again(observatory: Observatory, status: CopyStatus) -> None:
    package = add_package(observatory)
    bundle_at(observatory)
    settle_transfers(observatory)
    lose(observatory, package, COLOGNE, status)
    bundle_at(observatory)
    bundle_at(observatory)
    assert bundles(observatory) == [(COLOGNE, "closed", [package]), (US, "closed", [package])]


def test_a_package_that_was_lost_at_the_other_archive_s_site_goes_there_again(observatory: Observatory) -> None:
    package = sent_to_cologne(observatory)
    archive(observatory, package, "cologne_archive")
    bundle_at(observatory, COLOGNE)
    settle_transfers(observatory)
    lose(observatory, package, US, CopyStatus.CORRUPT)
    bundle_at(observatory, COLOGNE, CCAT)
    bundle_at(observatory, COLOGNE, CCAT)
    assert bundles(observatory)[1:] == [(US, "closed", [package])] * 2


# When bundles close


def test_a_bundle_stays_open_until_its_time_and_then_closes(patient: Observatory) -> None:
    first = add_package(patient)
    assert bundle_at(patient).completed == 0
    second = add_package(patient)
    bundle_at(patient)
    assert bundles(patient) == [(COLOGNE, "open", [first, second])]
    (operation,) = patient.operations(OperationKind.BUNDLING)
    assert operation.not_before is not None
    assert "is open until" in operation.explanation
    pass_time(patient)
    assert bundle_at(patient).completed == 1
    assert bundles(patient) == [(COLOGNE, "closed", [first, second])]


def test_a_bundle_that_is_full_closes_at_once(patient: Observatory) -> None:
    add_package(patient, size=60)
    assert bundle_at(patient).completed == 0
    add_package(patient, size=40)
    assert bundle_at(patient).completed == 1
    assert [state for _, state, _ in bundles(patient)] == ["closed"]


def test_a_bundle_without_room_for_the_next_package_closes_at_once(patient: Observatory) -> None:
    first = add_package(patient, size=60)
    assert bundle_at(patient).completed == 0
    second = add_package(patient, size=50)
    assert bundle_at(patient).completed == 1
    assert bundles(patient) == [(COLOGNE, "closed", [first]), (US, "open", [second])]


def test_a_package_larger_than_a_bundle_has_one_to_itself(patient: Observatory) -> None:
    small = add_package(patient)
    large = add_package(patient, size=1000)
    late = add_package(patient)
    for _ in range(3):
        bundle_at(patient)
    assert bundles(patient) == [(COLOGNE, "closed", [small]), (US, "closed", [large]), (COLOGNE, "open", [late])]


def test_what_finds_every_bundle_full_waits_for_the_next(patient: Observatory) -> None:
    packages = [add_package(patient, size=100) for _ in range(3)]
    patient.plan(bundling, CCAT)
    assert [members for _, _, members in bundles(patient)] == [[packages[0]], [packages[1]]]
    assert state_of(patient, packages[2]) == PackageState.WAITING


def test_a_second_plan_with_nothing_new_changes_nothing(patient: Observatory) -> None:
    add_package(patient)
    patient.plan(bundling, CCAT)
    before = (bundles(patient), [operation.id for operation in patient.operations(OperationKind.BUNDLING)])
    patient.plan(bundling, CCAT)
    assert (bundles(patient), [operation.id for operation in patient.operations(OperationKind.BUNDLING)]) == before


def test_an_open_bundle_whose_operation_was_cancelled_is_closed_all_the_same(observatory: Observatory) -> None:
    add_package(observatory)
    observatory.plan(bundling, CCAT)
    with observatory.engine.begin() as connection:
        connection.execute(text("update operation set status = 'cancelled'"))
    assert bundle_at(observatory).completed == 1


# Closed is closed


def test_a_closed_bundle_takes_nothing_more(observatory: Observatory) -> None:
    first = add_package(observatory)
    bundle_at(observatory)
    second = add_package(observatory)
    bundle_at(observatory)
    assert bundles(observatory) == [(COLOGNE, "closed", [first]), (US, "closed", [second])]


def test_a_bundle_is_closed_once_however_many_are_at_it(observatory: Observatory) -> None:
    add_package(observatory)
    (batch,) = observatory.plan(bundling, CCAT).batches
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: observatory.runner(bundling, CCAT).run(batch), range(4)))
    assert sum(report.completed for report in reports) == 1
    assert len(transfers(observatory)) == 1


def test_bundles_that_close_while_others_plan_send_each_package_once_and_say_what_they_hold(
    observatory: Observatory,
) -> None:
    packages: list[int] = []

    def arrive(_: int) -> None:
        packages.append(add_package(observatory))
        bundle_at(observatory)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(arrive, range(40)))
    while any(state_of(observatory, package) is PackageState.WAITING for package in packages):
        bundle_at(observatory)
    bundle_at(observatory)
    made = bundles(observatory)
    assert {state for _, state, _ in made} == {"closed"}
    assert sorted(package for _, _, members in made for package in members) == sorted(packages)
    assert len(transfers(observatory)) == len(made)
    said = {
        operation.data_transfer_package_id: operation.explanation
        for operation in observatory.operations(OperationKind.BUNDLING)
    }
    with Session(observatory.engine) as session:
        for bundle_id, explanation in said.items():
            assert bundle_id is not None
            assert f"closed with {counted(len(members_of(session, bundle_id)), 'package')}" in explanation


def test_a_plan_that_meets_a_bundle_being_closed_adds_nothing_to_it(patient: Observatory) -> None:
    first = add_package(patient)
    patient.plan(bundling, CCAT)
    second = add_package(patient)
    with ThreadPoolExecutor(1) as pool:
        with patient.engine.begin() as closing:
            closing.execute(text("update data_transfer_package set state = 'closed', closed_at = now()"))
            planned = pool.submit(patient.plan, bundling, CCAT)
            wait_until_blocked(patient.engine, planned)
        planned.result(30)
    assert bundles(patient) == [(COLOGNE, "closed", [first]), (US, "open", [second])]


def test_a_run_that_meets_a_plan_adding_to_its_bundle_waits_and_counts_what_was_added(patient: Observatory) -> None:
    add_package(patient)
    patient.plan(bundling, CCAT)
    pass_time(patient)
    (batch,) = patient.plan(bundling, CCAT).batches
    second = add_package(patient)
    with ThreadPoolExecutor(1) as pool:
        with patient.engine.begin() as adding:
            adding.execute(text("select from data_transfer_package for no key update"))
            adding.execute(
                text("insert into data_transfer_package_member select id, :package from data_transfer_package"),
                {"package": second},
            )
            run = pool.submit(patient.runner(bundling, CCAT).run, batch)
            wait_until_blocked(patient.engine, run)
        assert run.result(30).completed == 1
    (operation,) = patient.operations(OperationKind.BUNDLING)
    assert "closed with 2 packages of 20 bytes" in operation.explanation


def test_a_plan_looks_again_once_it_has_the_lock(observatory: Observatory) -> None:
    """Another buffer's plan may have bundled a package between this plan's look and its lock."""
    package = add_package(observatory)
    already_bundled = text(
        "with bundle as (insert into data_transfer_package"
        "  (origin_location_id, destination_location_id, is_primary, closes_at)"
        "  select origin.id, target.id, true, now() from data_location origin, data_location target"
        "  where origin.full_name = 'ccat_source' and target.full_name = 'us_buffer' returning id)"
        " insert into data_transfer_package_member select id, :package from bundle"
    )

    def bundled_meanwhile(_: object, __: object, statement: str, *rest: object) -> None:
        if "SKIP LOCKED" in statement and "raw_data_package" in statement:
            with other.begin():
                other.execute(already_bundled, {"package": package})

    with observatory.engine.connect() as other:
        event.listen(observatory.engine, "after_cursor_execute", bundled_meanwhile)
        observatory.plan(bundling, CCAT)
        event.remove(observatory.engine, "after_cursor_execute", bundled_meanwhile)
    assert bundles(observatory) == [(US, "open", [package])]


def test_two_buffers_of_one_site_never_both_send_a_package(observatory: Observatory) -> None:
    add_location(observatory, like=CCAT, name="spare", priority=900)
    packages = [add_package(observatory) for _ in range(30)]
    for package in packages:
        add_copy(observatory, package, "ccat_spare")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda buffer: bundle_at(observatory, buffer), [CCAT, "ccat_spare"] * 4))
    sent = [package for _, _, members in bundles(observatory) for package in members]
    assert sorted(sent) == packages


def test_a_package_that_somebody_holds_is_left_for_the_next_plan(observatory: Observatory) -> None:
    held, free = add_package(observatory), add_package(observatory)
    with locked(observatory.engine, held):
        bundle_at(observatory)
    assert [members for _, _, members in bundles(observatory)] == [[free]]
    bundle_at(observatory)
    assert [members for _, _, members in bundles(observatory)] == [[free], [held]]


# Secondary


def sent_to_cologne(observatory: Observatory) -> int:
    """A package that came to Cologne by the primary transfer."""
    package = add_package(observatory)
    bundle_at(observatory)
    settle_transfers(observatory)
    return package


def test_the_primary_s_site_sends_to_the_other_archive(observatory: Observatory) -> None:
    package = sent_to_cologne(observatory)
    bundle_at(observatory, US, COLOGNE, CCAT)
    assert bundles(observatory) == [(COLOGNE, "closed", [package]), (US, "closed", [package])]
    with Session(observatory.engine) as session:
        assert session.scalars(select(DataTransferPackage.is_primary).order_by(DataTransferPackage.id)).all() == [
            True,
            False,
        ]


def test_nobody_sends_on_what_came_by_a_secondary_transfer(observatory: Observatory) -> None:
    package = sent_to_cologne(observatory)
    archive(observatory, package, "cologne_archive")
    bundle_at(observatory, COLOGNE)
    settle_transfers(observatory)
    bundle_at(observatory, US, COLOGNE, CCAT)
    assert len(bundles(observatory)) == 2


def test_secondary_bundles_take_no_turn_from_primary_ones(observatory: Observatory) -> None:
    sent_to_cologne(observatory)
    bundle_at(observatory, COLOGNE)
    add_package(observatory)
    bundle_at(observatory)
    assert [destination for destination, _, _ in bundles(observatory)] == [COLOGNE, US, US]


def test_an_archive_that_has_the_package_is_not_sent_it(observatory: Observatory) -> None:
    package = sent_to_cologne(observatory)
    archive(observatory, package, "us_archive")
    bundle_at(observatory, COLOGNE)
    assert len(bundles(observatory)) == 1


@pytest.mark.parametrize("status", [CopyStatus.CORRUPT, CopyStatus.MISSING, CopyStatus.DELETED])
def test_an_archive_copy_that_is_gone_counts_as_none(observatory: Observatory, status: CopyStatus) -> None:
    package = sent_to_cologne(observatory)
    archive(observatory, package, "us_archive", status=status)
    bundle_at(observatory, COLOGNE)
    assert bundles(observatory)[1:] == [(US, "closed", [package])]


def test_what_is_not_verified_here_is_not_sent_on(observatory: Observatory) -> None:
    sent_to_cologne(observatory)
    with observatory.engine.begin() as connection:
        connection.execute(text("update physical_copy set verified_at = null"))
    bundle_at(observatory, COLOGNE)
    assert len(bundles(observatory)) == 1


def test_what_is_born_at_an_archive_s_site_goes_to_the_other_archive(observatory: Observatory) -> None:
    add_location(observatory, like="ccat_source", site="cologne", name="lab", hosts=("cologne",))
    package = add_package(observatory, buffer=COLOGNE, source="cologne_lab")
    bundle_at(observatory, COLOGNE)
    assert bundles(observatory) == [(US, "closed", [package])]
    assert state_of(observatory, package) == PackageState.WAITING  # its first archive is at home


def test_a_secondary_transfer_that_was_given_up_goes_again(observatory: Observatory) -> None:
    package = sent_to_cologne(observatory)
    bundle_at(observatory, COLOGNE)
    settle_transfers(observatory, transfer=WorkStatus.FAILED, unpacking=WorkStatus.PENDING)
    bundle_at(observatory, COLOGNE)
    assert bundles(observatory)[1:] == [(US, "closed", [package])] * 2
