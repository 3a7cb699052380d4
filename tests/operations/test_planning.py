"""Planning a lane: what is proposed, what is taken back, and what people are told."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import BadInputError, PermanentError, TopologyError, TransientError
from include.operations import record
from include.operations.batch import BatchFailedError
from include.operations.decide import SLOW_PAUSE_SECONDS
from include.operations.planning import NewOperation, into_batches, want
from include.operations.stage import Done, Selection
from include.ops_db.places import location_id
from include.ops_db.states import WorkStatus
from include.topology import OperationKind, Policy
from tests.observatory import Observatory, now, sandbox_topology
from tests.operations.laboratory import PLACE, Laboratory

SLOTS = 2  # cologne_archive's archiving has the default
LONG_AGO = now() - timedelta(days=2)


@pytest.fixture
def small(engine, tmp_path) -> Laboratory:
    """Batches of two operations or 100 bytes."""
    return Laboratory(Observatory.build(engine, tmp_path / "observatory", batch_operations=2, batch_bytes=100))


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


def test_a_dead_lane_is_given_nothing_and_says_why(lab: Laboratory) -> None:
    due, paused = lab.operations(2)
    lab.change(paused, not_before=now() + timedelta(hours=1), explanation="It waits for space.")
    plan = lab.plan(is_listened_to=lambda: False)
    assert plan.batches == []
    assert "no worker listens to queue cologne_archive_archiving" in plan.explanation
    assert "start the worker on cologne" in plan.explanation
    assert lab.operation(due).explanation == plan.explanation
    assert lab.operation(paused).explanation == "It waits for space.", "nobody would work on it anyway"


def test_once_somebody_listens_nothing_says_otherwise(small: Laboratory) -> None:
    operations = small.operations(20)
    small.plan(is_listened_to=lambda: False)
    small.plan()
    told = [small.operation(operation).explanation for operation in operations]
    assert not any("no worker" in explanation for explanation in told)
    assert told[-1] == "It waits for its turn in queue cologne_archive_archiving."


def test_a_dead_lane_takes_back_what_lies_in_it(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.plan(run_id="one")
    lab.change(operation, scheduled_at=LONG_AGO)
    lab.plan(is_listened_to=lambda: False)
    assert lab.operation(operation).status is WorkStatus.PENDING


def test_what_an_ended_run_left_is_proposed_again(lab: Laboratory) -> None:
    operations = lab.operations(2)
    lab.plan(run_id="one")
    for operation in operations:
        lab.change(operation, scheduled_at=now() - timedelta(minutes=1))
    asked: list[str] = []

    def has_ended(run_id: str) -> bool:
        asked.append(run_id)
        return True

    assert lab.plan(run_id="two", has_ended=has_ended).batches == [operations]
    assert asked == ["one"]


def test_what_a_living_run_has_is_left_to_it(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.plan(run_id="one")
    lab.change(operation, scheduled_at=now() - timedelta(hours=23))
    assert lab.plan(run_id="two", has_ended=lambda _: False).batches == []


def test_what_was_scheduled_for_a_day_is_proposed_again_whatever_the_run_does(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.plan(run_id="one")
    lab.change(operation, scheduled_at=now() - timedelta(hours=25))
    assert lab.plan(run_id="two", has_ended=lambda _: False).batches == [[operation]]


def test_a_plan_that_is_made_anew_proposes_its_own_again(lab: Laboratory) -> None:
    operations = lab.operations(2)
    lab.plan(run_id="one")
    lab.taken(operations[0], run_id="one")
    assert lab.plan(run_id="one").batches == [[operations[1]]]


def test_an_expired_lease_is_taken_back_as_a_failure(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.taken(operation)
    lab.expire(operation)
    assert lab.plan().batches == [[operation]]
    row = lab.operation(operation)
    assert (row.failure_count, row.lease_owner, row.lease_try, row.lease_expires_at) == (1, None, None, None)
    assert lab.attempts(operation) == ["lost"]


def test_a_live_lease_is_left_alone(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lease = lab.taken(operation)
    assert lab.plan().batches == []
    assert lab.operation(operation).lease_token == lease.token


def test_a_worker_that_always_dies_calls_a_person_and_goes_on_slowly(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    attempts_max = lab.observatory.topology.policy.attempts_max
    for death in range(attempts_max):
        assert lab.operation(operation).failure_count == death
        lab.taken(operation, run_id=f"run {death}")
        lab.expire(operation)
        lab.plan()
    row = lab.operation(operation)
    assert row.status is WorkStatus.FAILED
    assert f"It failed {attempts_max} times in a row" in row.explanation
    assert row.not_before is not None
    assert abs((row.not_before - now()).total_seconds() - SLOW_PAUSE_SECONDS) < 60
    assert f"{row.not_before:%Y-%m-%d %H:%M:%S} UTC" in row.explanation
    assert lab.attempts(operation) == ["lost"] * attempts_max


def test_what_failed_often_is_tried_again_slowly(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.change(operation, status="failed", failure_count=8, not_before=now() + timedelta(hours=1))
    assert lab.plan().batches == []
    lab.change(operation, not_before=now() - timedelta(seconds=1))
    assert lab.plan().batches == [[operation]]
    assert lab.operation(operation).failure_count == 8, "one more failure pauses it as long again"


def test_what_needs_a_person_is_never_proposed_nor_planned_anew(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.change(operation, status="failed")
    assert lab.plan().batches == []
    with Session(lab.engine) as session, session.begin():
        want(
            session,
            kind=OperationKind.ARCHIVING,
            data_location_id=location_id(session, PLACE),
            operations=[
                NewOperation(subject_id=lab.operation(operation).raw_data_package_id, explanation="Once more?")
            ],
        )
    assert lab.statuses() == ["failed"]


def test_clearing_a_run_proposes_what_failed_in_it_and_nothing_else(lab: Laboratory) -> None:
    mine, others = lab.operations(2)

    def work(_):
        raise PermanentError("no")

    lab.stage.work = work
    for operation, run_id in ((mine, "mine"), (others, "other")):
        runner = lab.observatory.runner(lab.stage, PLACE, run_id=run_id)
        with pytest.raises(BatchFailedError):
            runner.run([operation])
    assert lab.plan(run_id="mine").batches == []
    assert lab.plan(run_id="mine", retry_failed_for="Ada").batches == [[mine]]
    assert lab.operation(others).status is WorkStatus.FAILED
    assert lab.attempts(mine) == ["permanent", "reset"]
    with lab.engine.connect() as connection:
        assert connection.execute(text("select person from operation_attempt where number = 2")).scalar_one() == "Ada"


def test_a_run_for_one_location_leaves_the_other_lanes_alone(lab: Laboratory) -> None:
    lab.packages(1)
    plan = lab.plan(selection=Selection(only_location="us_archive"))
    assert (plan.batches, plan.explanation) == ([], "This run is only for us_archive.")
    assert lab.all() == []


def test_a_run_for_some_packages_proposes_only_those(lab: Laboratory) -> None:
    operations = lab.operations(3)
    with lab.engine.connect() as connection:
        names = connection.execute(text("select name from raw_data_package order by id")).scalars().all()
    assert lab.plan(selection=Selection(packages=(names[1],))).batches == [[operations[1]]]
    assert lab.plan(selection=Selection(packages=("no such package",))).batches == []


def test_packages_are_found_in_their_bundles_and_transfers_too(lab: Laboratory) -> None:
    package, stranger = lab.packages(2)
    with lab.engine.begin() as connection:
        here, there = (
            connection.execute(text("select id from data_location where full_name = :name"), {"name": name}).scalar()
            for name in ("ccat_buffer", "cologne_buffer")
        )
        for wanted in (package, stranger):
            bundle = connection.execute(
                text(
                    "insert into data_transfer_package (origin_location_id, destination_location_id, is_primary, state,"
                    " closes_at) values (:here, :there, true, 'closed', now()) returning id"
                ),
                {"here": here, "there": there},
            ).scalar()
            connection.execute(
                text("insert into data_transfer_package_member values (:bundle, :package)"),
                {"bundle": bundle, "package": wanted},
            )
            connection.execute(
                text(
                    "with made as (insert into data_transfer (data_transfer_package_id, origin_location_id,"
                    " destination_location_id) values (:bundle, :here, :there) returning id)"
                    " insert into operation (kind, data_location_id, data_transfer_id, explanation)"
                    " select 'transfer', :there, id, 'It is new.' from made"
                ),
                {"bundle": bundle, "here": here, "there": there},
            )
            connection.execute(
                text(
                    "insert into operation (kind, data_location_id, data_transfer_package_id, explanation)"
                    " values ('bundling', :here, :bundle, 'It is new.')"
                ),
                {"bundle": bundle, "here": here},
            )
        name = connection.execute(
            text("select name from raw_data_package where id = :id"), {"id": package}
        ).scalar_one()
    for kind, place in ((OperationKind.TRANSFER, "cologne_buffer"), (OperationKind.BUNDLING, "ccat_buffer")):
        lab.stage.KIND = kind
        lab.stage.plan = lambda _: None  # type: ignore[method-assign]
        first = lab.all()[0].id
        plan = lab.observatory.plan(lab.stage, place, selection=Selection(packages=(name,)))
        assert plan.batches == [[first]]


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


class TestPatience:
    """A plan waits a little for what falls due very soon."""

    @pytest.fixture
    def patient(self, engine, tmp_path) -> Laboratory:
        return Laboratory(Observatory.build(engine, tmp_path / "observatory", plan_patience_seconds=3))

    def timed(self, lab: Laboratory, **changes) -> tuple[list[list[int]], float]:
        started = time.monotonic()
        batches = lab.plan(**changes).batches
        return batches, time.monotonic() - started

    def test_what_falls_due_in_time_is_waited_for(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        due_at = now() + timedelta(seconds=1.5)
        patient.change(operation, not_before=due_at)
        assert self.timed(patient)[0] == [[operation]]
        assert now() >= due_at

    def test_what_falls_due_later_is_not(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        patient.change(operation, not_before=now() + timedelta(seconds=30))
        batches, seconds = self.timed(patient)
        assert batches == []
        assert seconds < 2.5

    def test_what_is_due_now_is_not_kept_waiting(self, patient: Laboratory) -> None:
        first, second = patient.operations(2)
        patient.change(second, not_before=now() + timedelta(seconds=2))
        batches, seconds = self.timed(patient)
        assert batches == [[first]]
        assert seconds < 1.9

    def test_a_full_lane_does_not_wait_for_what_was_due_long_ago(self, patient: Laboratory) -> None:
        # It did: until its patience and the age of the oldest not_before together were over.
        flying = patient.operations(2 * SLOTS)
        (operation,) = patient.operations(1)
        for batch, scheduled in enumerate(flying):
            patient.change(scheduled, status="scheduled", planned_run_id="r", planned_batch=batch, scheduled_at=now())
        patient.change(operation, not_before=LONG_AGO)
        batches, seconds = self.timed(patient, has_ended=lambda _: False)
        assert batches == []
        assert seconds < 2.5

    def test_a_locked_row_that_is_due_is_not_waited_for(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        patient.change(operation, not_before=LONG_AGO)
        with Session(patient.engine) as session:
            session.execute(text("select from operation for update"))
            batches, seconds = self.timed(patient)
        assert batches == []
        assert seconds < 2.5

    def test_a_dead_lane_does_not_wait(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        patient.change(operation, not_before=now() + timedelta(seconds=2))
        assert self.timed(patient, is_listened_to=lambda: False)[1] < 1.9

    def test_no_lock_is_held_while_it_waits(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        patient.change(operation, not_before=now() + timedelta(seconds=2.5))
        with ThreadPoolExecutor(3) as pool:
            plans = list(pool.map(lambda _: patient.plan(has_ended=lambda _: False).batches, range(3)))
        assert sorted(plans) == [[], [], [[operation]]]


class TestReset:
    """A person asks for another try."""

    def test_what_failed_is_pending_again_as_an_attempt_of_that_person(self, lab: Laboratory) -> None:
        (operation,) = lab.operations(1)
        lab.change(operation, status="failed", failure_count=8, planned_run_id="r", planned_batch=1)
        assert record.reset(lab.engine, operation_ids=[operation], person="Ada", reason="The disk is mended.") == [
            operation
        ]
        row = lab.operation(operation)
        assert (row.status, row.failure_count, row.not_before) == (WorkStatus.PENDING, 0, None)
        assert (row.planned_run_id, row.planned_batch) == (None, None)
        assert row.explanation == "Reset by Ada; the next plan of its lane proposes it again."
        with lab.engine.connect() as connection:
            attempt = connection.execute(text("select * from operation_attempt")).one()
        assert (attempt.outcome, attempt.person, attempt.explanation) == ("reset", "Ada", "The disk is mended.")
        assert lab.plan().batches == [[operation]]

    def test_a_pause_is_ended(self, lab: Laboratory) -> None:
        (operation,) = lab.operations(1)
        lab.change(operation, not_before=now() + timedelta(hours=1))
        assert record.reset(lab.engine, operation_ids=[operation], person="Ada", reason="") == [operation]
        assert lab.plan().batches == [[operation]]

    @pytest.mark.parametrize("status", ["pending", "scheduled", "in_progress", "completed", "cancelled"])
    def test_nothing_else_is_touched(self, lab: Laboratory, status: str) -> None:
        (operation,) = lab.operations(1)
        lab.change(operation, status=status)
        assert record.reset(lab.engine, operation_ids=[operation, 999], person="Ada", reason="") == []
        assert lab.statuses() == [status]
        assert lab.attempts(operation) == []

    def test_nothing_to_reset_is_no_mistake(self, lab: Laboratory) -> None:
        assert record.reset(lab.engine, operation_ids=[], person="Ada", reason="") == []

    def test_somebody_has_to_answer_for_it(self, lab: Laboratory) -> None:
        with pytest.raises(BadInputError, match="name of the person"):
            record.reset(lab.engine, operation_ids=[1], person="", reason="")

    def test_numbers_of_attempts_go_on(self, lab: Laboratory) -> None:
        (operation,) = lab.operations(1)
        lab.stage.work = raise_transient
        lab.run([operation])
        record.reset(lab.engine, operation_ids=[operation], person="Ada", reason="")
        lab.stage.work = lambda _: Done(explanation="Done.")
        lab.run([operation])
        assert lab.attempts(operation) == ["transient", "reset", "completed"]


def raise_transient(_):
    raise TransientError("busy")
