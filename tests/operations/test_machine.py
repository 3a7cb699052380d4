"""The whole machine against every order of events: nothing is done twice, and nothing is lost."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from include.errors import ChecksumMismatchError, LeaseLostError, MissingFileError, NoSpaceError, TransientError
from include.operations import record
from include.operations.batch import BatchFailedError
from include.operations.decide import after_error
from include.operations.lease import Lease
from include.operations.stage import Done
from tests.observatory import Observatory, now
from tests.operations.laboratory import Laboratory

INSTANCES = range(3)
ERRORS = [TransientError("busy"), NoSpaceError("full"), MissingFileError("gone"), ChecksumMismatchError("rotten")]


class Operations(RuleBasedStateMachine):
    """A few operations, a few task instances with their tries, and everything that can happen to them."""

    lab: Laboratory

    def __init__(self) -> None:
        super().__init__()
        with self.lab.engine.begin() as connection:
            connection.execute(
                text("delete from operation; delete from operation_attempt; delete from raw_data_package")
            )
        self.lab.packages(4)
        self.held: list[tuple[Lease, int]] = []
        """Leases that somebody believes to hold, stale ones too, and whose they are."""
        self.tries = dict.fromkeys(INSTANCES, 1)
        self.completions: dict[int, int] = {}
        self.runs = 0

    def ids(self) -> list[int]:
        return [operation.id for operation in self.lab.all()]

    @rule(ended=st.booleans(), listened_to=st.booleans())
    def plan(self, ended: bool, listened_to: bool) -> None:
        self.runs += 1
        with self.lab.engine.begin() as connection:  # as if half a minute had gone by
            connection.execute(text("update operation set scheduled_at = scheduled_at - interval '31 seconds'"))
        plan = self.lab.plan(run_id=f"run {self.runs}", has_ended=lambda _: ended, is_listened_to=lambda: listened_to)
        proposed = [operation for batch in plan.batches for operation in batch]
        assert len(proposed) == len(set(proposed))
        scheduled = {o.id for o in self.lab.all() if o.planned_run_id == f"run {self.runs}" and o.status == "scheduled"}
        assert scheduled == set(proposed)

    @rule(data=st.data(), instance=st.sampled_from(INSTANCES), manual=st.booleans())
    @precondition(lambda self: self.ids())
    def lease(self, data: st.DataObject, instance: int, manual: bool) -> None:
        operation = data.draw(st.sampled_from(self.ids()))
        before = self.lab.operation(operation)
        lease = self.lab.take(operation, map_index=instance, try_number=self.tries[instance], manual=manual)
        if lease is None:
            assert before.status not in {"pending", "scheduled"}
            return
        assert before.status not in {"completed", "cancelled"}
        assert before.status != "failed" or manual
        self.held.append((lease, instance))

    @rule(instance=st.sampled_from(INSTANCES))
    def clear_task(self, instance: int) -> None:
        """A new try of the task instance; what the old one held it may still believe to hold."""
        self.tries[instance] += 1

    @rule(data=st.data())
    @precondition(lambda self: self.ids())
    def expire(self, data: st.DataObject) -> None:
        self.lab.expire(data.draw(st.sampled_from(self.ids())))

    @rule(data=st.data(), how=st.sampled_from(["complete", "hand back", *ERRORS]))
    @precondition(lambda self: self.held)
    def settle(self, data: st.DataObject, how: str | Exception) -> None:
        held = data.draw(st.sampled_from(self.held))
        self.held.remove(held)
        lease = held[0]
        row = self.lab.operation(lease.operation_id)
        newest = row.lease_token == lease.token and row.status == "in_progress"
        try:
            if how == "complete":
                record.complete(self.lab.engine, lease=lease, explanation="Done.", size_bytes=1, record=lambda _: None)
                self.completions[lease.operation_id] = self.completions.get(lease.operation_id, 0) + 1
            elif how == "hand back":
                record.hand_back(self.lab.engine, lease=lease, explanation="Later.", size_bytes=1)
            else:
                assert isinstance(how, Exception)
                decision = after_error(
                    how,
                    failure_count=lease.failure_count,
                    policy=self.lab.observatory.topology.policy,
                    now=now(),
                    jitter=1,
                )
                record.fail(self.lab.engine, lease=lease, decision=decision, error=how)
        except LeaseLostError:
            assert not newest
        else:
            assert newest

    @rule(data=st.data())
    @precondition(lambda self: self.ids())
    def reset(self, data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(self.ids()))
        before = self.lab.operation(operation)
        done = record.reset(self.lab.engine, operation_ids=[operation], person="Ada", reason="")
        paused = before.status == "pending" and before.not_before is not None and before.not_before > now()
        assert bool(done) == (before.status == "failed" or paused)

    @invariant()
    def tokens_have_one_holder(self) -> None:
        tokens = [(lease.operation_id, lease.token) for lease, _ in self.held]
        assert len(tokens) == len(set(tokens))

    @invariant()
    def every_row_is_one_of_a_kind(self) -> None:
        for operation in self.lab.all():
            if operation.status == "in_progress":
                assert operation.lease_owner is not None
                assert operation.lease_expires_at is not None
            else:
                assert (operation.lease_owner, operation.lease_expires_at) == (None, None) or (
                    operation.lease_owner is None  # `expire` may have moved the clock of a row without a lease
                )
            assert (operation.finished_at is not None) == (operation.status == "completed")
            assert operation.explanation

    @invariant()
    def what_is_completed_was_completed_once(self) -> None:
        completed = {operation.id for operation in self.lab.all() if operation.status == "completed"}
        assert completed == self.completions.keys()
        assert set(self.completions.values()) <= {1}

    @invariant()
    def exactly_the_operations_in_progress_have_an_open_attempt(self) -> None:
        for operation in self.lab.all():
            attempts = self.lab.attempts(operation.id)
            assert attempts.count(None) == (operation.status == "in_progress"), attempts
            assert len(attempts) == operation.attempt_count

    def teardown(self) -> None:
        """Nothing is lost: once all goes well, a few rounds complete everything, whatever had happened."""
        for _ in range(3):
            with self.lab.engine.begin() as connection:
                connection.execute(
                    text(
                        "update operation set not_before = :past, lease_expires_at = :past, scheduled_at = :past"
                        " where status <> 'completed' and (status <> 'failed' or not_before is not null)"
                    ),
                    {"past": now() - timedelta(days=2)},
                )
            failed = [operation.id for operation in self.lab.all() if operation.status == "failed"]
            record.reset(self.lab.engine, operation_ids=failed, person="Ada", reason="All is mended.")
            for batch in self.lab.plan().batches:
                self.lab.run(batch)
        assert self.lab.statuses() == ["completed"] * 4
        for operation in self.lab.all():
            assert self.lab.attempts(operation.id).count("completed") == 1
        super().teardown()


@pytest.mark.timeout(600)  # minutes on a machine that does much else
def test_nothing_is_done_twice_and_nothing_is_lost(engine, tmp_path) -> None:
    lab = Laboratory(Observatory.build(engine, tmp_path / "observatory", attempts_max=3))
    machine = type("OperationsHere", (Operations,), {"lab": lab})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_fails_at_first_is_completed_in_the_end(lab: Laboratory, error: Exception) -> None:
    lab.packages(5)

    def work(_) -> Done:
        raise error

    lab.stage.work = work
    with suppress(BatchFailedError):
        lab.run([operation for batch in lab.plan().batches for operation in batch])
    lab.stage.work = lambda _: Done(explanation="Done.")
    failed = [operation.id for operation in lab.all() if operation.status == "failed"]
    record.reset(lab.engine, operation_ids=failed, person="Ada", reason="")
    for operation in lab.all():
        lab.change(operation.id, not_before=None)
    lab.run([operation for batch in lab.plan().batches for operation in batch])
    assert lab.statuses() == ["completed"] * 5
