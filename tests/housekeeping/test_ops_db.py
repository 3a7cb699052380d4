"""What is over moves out and is found as before; what is not stays; nothing that is known about data goes."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.explain.packages import OPERATIONS
from include.housekeeping.ops_db import AT_ONCE, MONTHS_AHEAD, Kept, keep_house
from include.housekeeping_rules import HousekeepingRules
from include.metrics.attempts import Mark, ended, settled_at
from include.ops_db.tables import Filing, Operation, OperationHistory
from include.stages import archiving
from tests.lifecycle.archived import Archived, archived_package
from tests.metrics.done import attempts
from tests.observatory import Observatory, now
from tests.operations.laboratory import FakeStage, Laboratory

RULES = HousekeepingRules()


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def keep(observatory: Observatory) -> Kept:
    return keep_house(observatory.engine, rules=RULES)


def rows(observatory: Observatory, statement: str, **values: object) -> list[tuple[object, ...]]:
    with observatory.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement), values)]


def test_what_was_over_for_thirty_days_moves_and_is_found_as_before(
    observatory: Observatory, package: Archived
) -> None:
    attempts(package, 3, ago=timedelta(days=31))
    attempts(package, 2, ago=timedelta(days=29))
    before = rows(observatory, "select * from operation_ever order by id")
    assert keep(observatory).operations == 3
    assert rows(observatory, "select count(*) from operation") == [(2,)]
    assert rows(observatory, "select * from operation_ever order by id") == before
    assert keep(observatory).operations == 0


def test_a_package_explains_itself_by_its_history_too(observatory: Observatory, package: Archived) -> None:
    attempts(package, 1, ago=timedelta(days=40))
    with observatory.engine.connect() as connection:
        before = connection.execute(OPERATIONS, {"package_id": package.id}).scalars().all()
    keep(observatory)
    with observatory.engine.connect() as connection:
        assert connection.execute(OPERATIONS, {"package_id": package.id}).scalars().all() == before
    assert len(before) == 1


def test_what_is_not_over_stays_however_old(observatory: Observatory) -> None:
    lab = Laboratory(observatory, FakeStage())
    for operation, status in zip(lab.operations(4), ["pending", "scheduled", "in_progress", "failed"], strict=True):
        lab.change(operation, status=status, finished_at=now() - timedelta(days=400))
    assert keep(observatory).operations == 0
    assert len(lab.all()) == 4


def test_what_moved_is_not_planned_anew(observatory: Observatory, package: Archived) -> None:
    """A stage looks at its subjects, not at what was once done."""
    attempts(package, 1, location="cologne_archive", ago=timedelta(days=31))
    keep(observatory)
    assert observatory.plan(archiving, "cologne_archive").batches == []
    assert rows(observatory, "select count(*) from operation") == [(0,)]


def test_more_than_a_transaction_holds_moves_all_the_same(observatory: Observatory, package: Archived) -> None:
    attempts(package, AT_ONCE + 7, ago=timedelta(days=35), apart=0.001)
    assert keep(observatory).operations == AT_ONCE + 7


def test_history_and_operations_have_the_same_columns() -> None:
    ours = {column.name: str(column.type) for column in Operation.__table__.columns}
    theirs = {column.name: str(column.type) for column in OperationHistory.__table__.columns}
    assert list(ours) == list(theirs)
    words = {"kind", "status"}
    assert {name: kind for name, kind in ours.items() if name not in words} == {
        name: kind for name, kind in theirs.items() if name not in words
    }


def test_months_are_made_two_years_ahead_and_once(observatory: Observatory) -> None:
    made = keep(observatory)
    assert made.partitions == MONTHS_AHEAD  # those of attempts were made by the migration
    assert keep(observatory).partitions == 0
    last = now() + timedelta(days=30 * (MONTHS_AHEAD - 2))
    place = rows(
        observatory,
        "with moved as (insert into operation_history (id, kind, data_location_id, status, priority, size_bytes,"
        " attempt_count, failure_count, lease_token, explanation, created_at, finished_at)"
        " values (1, 'x', 1, 'completed', 0, 0, 1, 0, 0, 'x', :last, :last) returning tableoid::regclass::text as t)"
        " select t from moved",
        last=last,
    )
    assert place == [(f"operation_history_{last:%Y_%m}",)]


def test_the_files_of_an_old_accepted_filing_are_dropped_and_nothing_else_of_it(observatory: Observatory) -> None:
    conf = {"instrument": "primecam", "files": [{"path": "a"}]}
    old, new = now() - timedelta(days=91), now()
    assert [short(observatory, "accepted", old, conf), short(observatory, "refused", old, conf)] == [
        {"instrument": "primecam"},
        conf,
    ]
    assert short(observatory, "accepted", new, conf) == conf


def short(observatory: Observatory, state: str, decided_at: datetime, conf: object) -> object:
    with Session(observatory.engine) as session, session.begin():
        filing = Filing(
            dag_run_id=f"{state}{decided_at}",
            received_from="x",
            state=state,
            verdict="v",
            conf=conf,
            decided_at=decided_at,
        )
        session.add(filing)
        session.flush()
        number = filing.id
    keep(observatory)
    with Session(observatory.engine) as session:
        return session.get_one(Filing, number).conf


def test_attempts_are_exported_when_their_operations_have_moved(observatory: Observatory, package: Archived) -> None:
    attempts(package, 1, ago=timedelta(days=31))
    keep(observatory)
    with observatory.engine.connect() as connection:
        points, _, count = ended(
            connection, after=Mark(at=now() - timedelta(days=40)), settled=settled_at(connection), most=10
        )
    assert (count, {point.tags.get("stage") for point in points if point.measurement == "dts_attempt"}) == (
        1,
        {"archiving"},
    )
