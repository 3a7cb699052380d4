"""What overtakes, and instruments' fair shares: in bundles, and in the priority of operations at every stage."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus, WorkStatus
from include.ops_db.tables import (
    DataTransferPackage,
    ExecutedObsUnit,
    InstrumentModule,
    Operation,
    RawDataPackage,
    StagingJob,
    StagingJobPackage,
)
from include.ops_db.urgency import URGENT_PRIORITY, flag, unflag
from include.stages import archiving, bundling, transfer
from include.stages.leaving import LeavingPackage, in_turns
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.bundled import CCAT, COLOGNE, US, add_copy, add_package, bundle_at, bundles, state_of
from tests.stages.moved import DESTINATION, bundled, packaged
from tests.stages.moved import unpacked as unpacked_packages


@pytest.fixture
def patient(engine: Engine, tmp_path: Path) -> Observatory:
    """Bundles stay open for long and close at 100 bytes."""
    return Observatory.build(engine, tmp_path / "patient", bundle_max_age_seconds=600, bundle_max_bytes=100)


def observation_of(observatory: Observatory, package_id: int) -> UUID:
    with Session(observatory.engine) as session:
        return session.get_one(RawDataPackage, package_id).executed_obs_unit_id


def flag_package(observatory: Observatory, package_id: int) -> None:
    with observatory.engine.begin() as connection:
        assert flag(connection, observation_of(observatory, package_id), person="ada", reason="a nova").is_known


def ask_for(observatory: Observatory, package_id: int, *, until: timedelta = timedelta(days=1)) -> None:
    with Session(observatory.engine) as session, session.begin():
        job = StagingJob(
            requested_by="ada",
            data_location_id=location_id(session, "cologne_processing"),
            until=datetime.now(UTC) + until,
        )
        session.add(job)
        session.flush()
        session.add(StagingJobPackage(staging_job_id=job.id, raw_data_package_id=package_id))


def belongs_to(observatory: Observatory, instrument: int, *packages: int) -> None:
    """Have packages be of the first, second, … instrument."""
    with Session(observatory.engine) as session, session.begin():
        modules = list(session.scalars(select(InstrumentModule).order_by(InstrumentModule.id)))
        module = {m.instrument_id: m for m in reversed(modules)}
        chosen = module[sorted(module)[instrument]]
        for package_id in packages:
            package = session.get_one(RawDataPackage, package_id)
            package.instrument_module_id = chosen.id
            observation = session.get_one(ExecutedObsUnit, package.executed_obs_unit_id)
            observation.instrument_id = chosen.instrument_id


def priorities(observatory: Observatory, kind: OperationKind) -> list[int]:
    return [operation.priority for operation in observatory.operations(kind)]


# ----- bundles


@pytest.mark.parametrize("urge", [flag_package, ask_for])
def test_what_overtakes_has_a_bundle_of_its_own_that_closes_at_once(patient: Observatory, urge) -> None:
    bulk, urgent, later = (add_package(patient) for _ in range(3))
    urge(patient, urgent)
    assert bundle_at(patient).completed == 1
    assert sorted((state, members) for _, state, members in bundles(patient)) == [
        ("closed", [urgent]),
        ("open", [bulk, later]),
    ]
    with Session(patient.engine) as session:
        assert session.scalars(select(DataTransferPackage.is_urgent).where(DataTransferPackage.state == "closed")).all()


def test_what_is_archived_already_or_asked_for_no_more_does_not_overtake(patient: Observatory) -> None:
    archived, late = add_package(patient), add_package(patient)
    ask_for(patient, archived)
    ask_for(patient, late, until=timedelta(seconds=-1))
    with patient.engine.begin() as connection:
        connection.execute(text("update raw_data_package set archived_at = now() where id = :id"), {"id": archived})
    add_copy(patient, archived, "cologne_archive", verified=True)
    assert bundle_at(patient).completed == 0


def test_what_is_archived_elsewhere_overtakes_on_its_way_to_the_site_where_it_is_wanted(patient: Observatory) -> None:
    package = add_package(patient)
    with patient.engine.begin() as connection:
        connection.execute(text("update raw_data_package set archived_at = now()"))
    add_copy(patient, package, "us_archive", verified=True)
    ask_for(patient, package)
    assert bundle_at(patient).completed == 1


def test_a_bundle_that_something_urgent_is_in_already_closes_at_once(patient: Observatory) -> None:
    first, second = add_package(patient), add_package(patient)
    assert bundle_at(patient).completed == 0
    flag_package(patient, second)
    assert bundle_at(patient).completed == 1
    assert [(state, members) for _, state, members in bundles(patient)] == [("closed", [first, second])]
    (operation,) = patient.operations(OperationKind.BUNDLING)
    assert operation.priority == URGENT_PRIORITY


def test_urgent_packages_that_do_not_fit_into_one_bundle_do_not_hold_up_the_others(patient: Observatory) -> None:
    urgent = [add_package(patient, size=60) for _ in range(5)]
    bulk = add_package(patient)
    for package in urgent:
        flag_package(patient, package)
    bundle_at(patient)
    assert [bulk] in [members for _, _, members in bundles(patient)]
    for _ in range(4):
        bundle_at(patient)
    assert [state_of(patient, package) for package in urgent] == ["transferring"] * 5, bundles(patient)


def test_no_more_than_a_few_full_bundles_are_closed_ahead_but_for_what_overtakes(patient: Observatory) -> None:
    packages = [add_package(patient, size=100) for _ in range(14)]
    for _ in range(12):
        bundle_at(patient)
    sent = [place for place, state, _ in bundles(patient) if state == "closed"]
    assert (sent.count(COLOGNE), sent.count(US)) == (4, 4)
    flag_package(patient, packages[-1])
    bundle_at(patient)
    assert bundles(patient)[-1][1:] == ("closed", [packages[-1]])
    with patient.engine.begin() as connection:  # one is at either site
        connection.execute(text("update data_transfer set transfer_status = 'completed' where id <= 2"))
    bundle_at(patient)
    assert len([state for _, state, _ in bundles(patient) if state == "closed"]) == 10


def test_the_backlog_of_one_instrument_does_not_delay_the_few_packages_of_another(patient: Observatory) -> None:
    backlog = [add_package(patient, size=20) for _ in range(50)]
    few = [add_package(patient, size=10) for _ in range(3)]
    belongs_to(patient, 0, *backlog)
    belongs_to(patient, 1, *few)
    patient.plan(bundling, CCAT)
    first = bundles(patient)[0][2]
    assert set(few) <= set(first)
    assert [package for package in first if package in backlog] == backlog[: len(first) - 3]


sizes = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 50), st.booleans()), max_size=60)


@given(sizes)
def test_in_every_beginning_of_the_order_shares_differ_by_one_package_at_most(packages) -> None:
    given_packages = [LeavingPackage(i, size, who, urgent) for i, (who, size, urgent) in enumerate(packages)]
    order = in_turns(given_packages)
    assert sorted(order, key=lambda package: package.id) == given_packages
    assert [package.is_urgent for package in order] == sorted((p.is_urgent for p in order), reverse=True)
    for urgent in (True, False):
        queue = [package for package in order if package.is_urgent == urgent]
        for who in {package.instrument_id for package in queue}:
            mine = [package.id for package in queue if package.instrument_id == who]
            assert mine == sorted(mine), "the oldest first"
        had = dict.fromkeys({package.instrument_id for package in queue}, 0)
        for number, package in enumerate(queue):
            waiting = {later.instrument_id for later in queue[number:]}
            assert had[package.instrument_id] == min(had[who] for who in waiting)
            had[package.instrument_id] += package.size_bytes


# ----- operations


def test_what_is_flagged_after_its_operation_was_made_is_raised_by_the_next_plan_and_goes_first(
    observatory: Observatory,
) -> None:
    made = packaged(observatory, count=3)
    for package in made:
        bundled(observatory, [package])
    observatory.plan(transfer, DESTINATION)
    with Session(observatory.engine) as session, session.begin():
        session.execute(text("update operation set status = 'pending', planned_run_id = null where kind = 'transfer'"))
    assert priorities(observatory, OperationKind.TRANSFER) == [0, 0, 0]
    flag_package(observatory, made[2].id)
    plan = observatory.plan(transfer, DESTINATION)
    assert priorities(observatory, OperationKind.TRANSFER) == [0, 0, URGENT_PRIORITY]
    assert plan.batches[0][0] == observatory.operations(OperationKind.TRANSFER)[2].id


def test_a_flag_that_is_removed_lets_it_wait_for_its_turn_again(observatory: Observatory) -> None:
    (package,) = packaged(observatory)
    bundled(observatory, [package])
    flag_package(observatory, package.id)
    observatory.plan(transfer, DESTINATION)
    assert priorities(observatory, OperationKind.TRANSFER) == [URGENT_PRIORITY]
    with observatory.engine.begin() as connection:
        connection.execute(
            text("update operation set status = 'pending', planned_run_id = null where kind = 'transfer'")
        )
        assert unflag(connection, package.executed_obs_unit_id).flagged_at is not None
    observatory.plan(transfer, DESTINATION)
    assert priorities(observatory, OperationKind.TRANSFER) == [0]


def test_it_overtakes_in_archiving_too_and_what_runs_is_left_alone(observatory: Observatory) -> None:
    made = unpacked_packages(observatory, count=2)
    observatory.plan(archiving, "cologne_archive")
    with Session(observatory.engine) as session, session.begin():
        first, second = session.scalars(
            select(Operation).where(Operation.kind == OperationKind.ARCHIVING).order_by(Operation.id)
        )
        first.status = WorkStatus.IN_PROGRESS
        first.lease_expires_at = datetime.now(UTC) + timedelta(hours=1)
        second.status = WorkStatus.PENDING
    for package in made:
        flag_package(observatory, package.id)
    observatory.plan(archiving, "cologne_archive")
    assert priorities(observatory, OperationKind.ARCHIVING) == [0, URGENT_PRIORITY]


def test_a_staged_package_is_waited_for_no_more(patient: Observatory) -> None:
    package = add_package(patient)
    ask_for(patient, package)
    add_copy(patient, package, "cologne_processing", verified=True)
    with patient.engine.begin() as connection:
        connection.execute(
            text(
                "update physical_copy set status = :staged where data_location_id = (select id from data_location"
                " where full_name = 'cologne_processing')"
            ),
            {"staged": CopyStatus.STAGED},
        )
    assert bundle_at(patient).completed == 0
