"""Bundling: what leaves a buffer goes once, in turn to the archives."""

import pytest
from sqlalchemy import text

from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.bundled import (
    CCAT,
    COLOGNE,
    US,
    add_package,
    archive,
    bundle_at,
    bundles,
    sent_to_cologne,
    settle_transfers,
    state_of,
    transfers,
)
from tests.stages.filed import add_location


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
