"""Bundles close by size or age, and never change once they are closed."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from include.ops_db.states import PackageState
from include.plurals import counted
from include.stages import bundling
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.bundled import (
    CCAT,
    COLOGNE,
    US,
    add_copy,
    add_package,
    bundle_at,
    bundles,
    members_of,
    state_of,
    transfers,
)
from tests.stages.filed import add_location


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
