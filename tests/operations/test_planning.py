"""Planning a lane: what is missing is inserted, what is due is proposed, by nobody twice."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import TopologyError
from include.operations.planning import into_batches
from include.ops_db.states import WorkStatus
from include.topology import Policy
from tests.observatory import now, sandbox_topology
from tests.operations.laboratory import Laboratory

SLOTS = 2  # cologne_archive's archiving has the default


# Proposing


def test_what_is_missing_is_inserted_and_proposed_in_one_go(lab: Laboratory) -> None:
    lab.packages(3)
    plan = lab.plan(run_id="mine")
    assert [len(batch) for batch in plan.batches] == [3]
    assert plan.explanation == "3 operations in 1 batch for cologne_archive_archiving."
    for operation in lab.all():
        assert operation.status is WorkStatus.SCHEDULED
        assert (operation.planned_run_id, operation.planned_batch) == ("mine", 0)
        assert operation.scheduled_at is not None
        assert "batch 0 of run mine" in operation.explanation
        assert "cologne_archive_archiving" in operation.explanation


def test_planning_again_inserts_and_proposes_nothing_twice(lab: Laboratory) -> None:
    lab.packages(3)
    lab.plan()
    assert lab.plan(has_ended=lambda _: False).batches == []
    assert len(lab.all()) == 3


def test_of_many_planners_at_once_none_proposes_what_another_did(small: Laboratory) -> None:
    small.packages(20)
    gate = threading.Barrier(8)

    def plan(_: int) -> list[list[int]]:
        gate.wait()
        return small.plan(has_ended=lambda _: False).batches

    with ThreadPoolExecutor(8) as pool:
        proposed = [operation for batches in pool.map(plan, range(8)) for batch in batches for operation in batch]
    assert len(proposed) == len(set(proposed)) == 2 * 2 * SLOTS, "two batches a slot, two operations a batch"
    assert len(small.all()) == 20


def test_a_row_that_somebody_has_locked_is_left_for_the_next_plan(lab: Laboratory) -> None:
    first, second = lab.operations(2)
    with Session(lab.engine) as session:
        session.execute(text("select from operation where id = :id for update"), {"id": first})
        started = time.monotonic()
        assert lab.plan().batches == [[second]]
        assert time.monotonic() - started < 5, "it did not wait for the lock"
    assert lab.plan().batches == [[first]]


def test_batches_in_flight_bound_what_is_proposed(small: Laboratory) -> None:
    operations = small.operations(20)
    first = small.plan(run_id="one", has_ended=lambda _: False)
    assert [len(batch) for batch in first.batches] == [2] * 2 * SLOTS
    full = small.plan(run_id="two", has_ended=lambda _: False)
    assert full.batches == []
    assert full.explanation == "4 batches are in work or waiting at cologne_archive_archiving: it is full for now."
    small.taken(first.batches[0][0], run_id="one")
    small.run(first.batches[1])
    assert small.plan(run_id="two", has_ended=lambda _: False).batches == [operations[8:10]], "one batch is done"


def test_higher_priority_goes_first_then_age(small: Laboratory) -> None:
    operations = small.operations(4)
    small.change(operations[3], priority=5)
    assert small.plan().batches == [[operations[3], operations[0]], [operations[1], operations[2]]]


def test_what_comes_again_and_again_does_not_keep_newer_ones_from_their_turn(small: Laboratory) -> None:
    waiting = small.operations(20)
    for operation in waiting:
        small.change(operation, not_before=now() - timedelta(hours=1))
    (newer,) = small.operations(1)
    proposed = [operation for batch in small.plan().batches for operation in batch]
    assert newer in proposed
    assert set(proposed) < {newer, *waiting}, "the others have their turn too"


def test_of_those_that_come_again_who_has_waited_longest_is_first(small: Laboratory) -> None:
    waiting = small.operations(20)
    for ago, operation in enumerate(waiting, 1):
        small.change(operation, not_before=now() - timedelta(minutes=ago))
    proposed = [operation for batch in small.plan().batches for operation in batch]
    assert proposed == waiting[: -len(proposed) - 1 : -1]


def test_what_is_not_due_waits(lab: Laboratory) -> None:
    early, late = lab.operations(2)
    lab.change(late, not_before=now() + timedelta(hours=1))
    lab.change(early, not_before=now() - timedelta(hours=1))
    assert lab.plan().batches == [[early]]


# Whole


def test_lanes_do_not_touch_each_other(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.stage.plan = lambda _: None  # type: ignore[method-assign]
    assert lab.observatory.plan(lab.stage, "us_archive").batches == []
    assert lab.plan().batches == [[operation]]


def test_a_planner_with_another_topology_changes_nothing(lab: Laboratory) -> None:
    lab.packages(1)
    with pytest.raises(TopologyError):
        lab.plan(topology=sandbox_topology(lab.observatory.root, attempts_max=99))
    assert lab.all() == []


def test_a_stage_whose_plan_breaks_leaves_nothing_behind(lab: Laboratory) -> None:
    lab.packages(1)
    plan = lab.stage.plan

    def broken(planning):
        plan(planning)
        raise ZeroDivisionError

    lab.stage.plan = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        lab.plan()
    assert lab.all() == []


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([], []),
        ([10, 20, 30], [2, 1]),
        ([60, 60], [1, 1]),
        ([60, 40, 1], [2, 1]),
        ([500], [1]),
        ([10, 500, 10, 10], [1, 1, 2]),
        ([0, 0, 0, 0, 0], [2, 2, 1]),
    ],
)
def test_batches_are_bounded_by_bytes_and_by_count(sizes: list[int], batches: list[int]) -> None:
    shared = into_batches(list(enumerate(sizes)), policy=Policy(batch_bytes=100, batch_operations=2))
    assert [len(batch) for batch in shared] == batches
    assert [operation for batch in shared for operation in batch] == list(range(len(sizes)))
