"""What plans take back: from dead lanes, ended runs and expired leases; and what only a person gives back."""

from datetime import timedelta

from sqlalchemy.orm import Session

from include.operations.decide import SLOW_PAUSE_SECONDS
from include.operations.planning import NewOperation, want
from include.ops_db.places import location_id
from include.ops_db.states import WorkStatus
from include.topology import OperationKind
from tests.observatory import now
from tests.operations.laboratory import PLACE, Laboratory

LONG_AGO = now() - timedelta(days=2)


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
