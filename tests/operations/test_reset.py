"""Resetting: a person makes operations pending again."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from include.errors import BadInputError, TransientError
from include.operations import record
from include.operations.stage import Done
from include.ops_db.states import WorkStatus
from tests.observatory import now
from tests.operations.laboratory import Laboratory


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
