"""A copy takes room in every state in which there are bytes, and in no other."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import TopologyError
from include.ops_db.apply import apply_topology
from include.ops_db.marks import MarksInOpsDb
from include.ops_db.measurements import Seen, how_full, record
from include.ops_db.states import NO_BYTES, CopyStatus
from include.sandbox.demo.report import copy_figures
from tests.lifecycle.archived import archived_package
from tests.observatory import Observatory

SOURCE = "ccat_source"
CHANGE = text(
    "update physical_copy set status = cast(:status as text),"
    " deleted_at = case when cast(:status as text) = 'deleted' then cast(:now as timestamptz) end"
    " where data_location_id = (select id from data_location where full_name = :here)"
)


@pytest.fixture(params=CopyStatus)
def status(request: pytest.FixtureRequest, observatory: Observatory) -> CopyStatus:
    """Of all raw files at the source."""
    archived_package(observatory)
    with observatory.engine.begin() as connection:
        connection.execute(CHANGE, {"status": request.param, "now": datetime.now(UTC), "here": SOURCE})
    return CopyStatus(request.param)


def test_wherever_room_and_copies_are_counted_they_agree(observatory: Observatory, status: CopyStatus) -> None:
    there = 0 if status in NO_BYTES else 2
    with observatory.engine.begin() as connection:
        record(connection, Seen(), full_name=SOURCE, host="ccat")
        assert how_full(connection, full_name=SOURCE)[SOURCE].stored_copies == there
    assert copy_figures(observatory.engine)[SOURCE].present == there
    assert the_source_may_not_leave(observatory) == (there > 0)


def test_an_empty_folder_is_never_taken_for_its_disk(observatory: Observatory, status: CopyStatus) -> None:
    marks = MarksInOpsDb(observatory.engine)
    assert not marks.may_be_set(SOURCE, lambda _: False)
    assert marks.may_be_set(SOURCE, lambda _: True) == (status is not CopyStatus.DELETED)


def the_source_may_not_leave(observatory: Observatory) -> bool:
    """Tell whether ops-db refuses that the source leaves."""
    topology = observatory.topology
    others = tuple(each for each in topology.data_locations if each.full_name != SOURCE)
    with Session(observatory.engine) as session:
        try:
            apply_topology(session, topology.model_copy(update={"data_locations": others}), applied_by="tests")
        except TopologyError as error:
            return f"{SOURCE} still holds" in str(error)
    return False
