"""Bundling between archives: what came by a primary transfer goes on to the other one."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.ops_db.tables import (
    DataTransferPackage,
)
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
)
from tests.stages.filed import add_location


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
