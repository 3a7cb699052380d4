"""The brake's questions in Airflow's UI: one run shows them, and its task waits for a yes or no without a worker."""

import logging
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import TaskAwaitingInput

from include.airflow_glue.connections import engine, topology
from include.airflow_glue.workers import has_ended
from include.errors import BadInputError
from include.lanes import CONTROL_QUEUE
from include.lifecycle.brake_answers import (
    Question,
    answer,
    asked_packages,
    in_markdown,
    question,
    runs_that_ask,
    take_unasked,
)
from include.ops_db.states import BrakeAnswer
from include.sizes import size

logger = logging.getLogger(__name__)

DAG_ID = "deletion_brake"
LARGEST_SHOWN = 20


@task(task_id="find", queue=CONTROL_QUEUE)
def find() -> list[int]:
    """Return the brake's questions that no run shows yet, as this run's own; none: the run ends at once."""
    run_id = str(get_current_context()["run_id"])
    with engine().connect() as connection:
        shown_by = [other for other in runs_that_ask(connection) if other != run_id]
    ended = [other for other in shown_by if has_ended(DAG_ID)(other)]
    with engine().begin() as connection:
        return take_unasked(connection, run_id=run_id, ended=ended)


class BrakeApproval(ApprovalOperator):
    """Shows one question, waits, and writes the answer into ops-db, where `dts brake` reads and writes it, too."""

    def __init__(self, *, brake: int, **kwargs: Any) -> None:
        # A waiting question looks at each tick of the clock whether somebody answered it on the command line.
        look_again = timedelta(seconds=topology().policy.clock_seconds)
        reason = Param("", type=["string", "null"], title="Reason", description="For whoever wonders later.")
        super().__init__(
            subject="May all of this be deleted?", params={"reason": reason}, response_timeout=look_again, **kwargs
        )
        self.brake = brake

    def execute(self, context: Any) -> Any:
        """Ask, unless it is answered already."""
        with engine().connect() as connection:
            asked = question(connection, self.brake)
            listed = asked_packages(connection, self.brake)
        for package in listed:
            logger.info("%s: %s copies, %s", package.name, package.copy_count, size(package.size_bytes))
        self.subject = f"May {size(asked.size_bytes)} be deleted at {asked.location}? (question {asked.id})"
        self.body = in_markdown(asked, listed[:LARGEST_SHOWN])
        return super().execute(context) if asked.answer is None else asked.sentence

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Write what was said; if nothing was said, look whether it was said elsewhere, and wait on."""
        if event.get("error_type") != "timeout":
            return _written(self.brake, super().execute_complete(context, event)).sentence
        with engine().connect() as connection:
            asked = question(connection, self.brake)
        if asked.answer is not None:
            return asked.sentence
        # Not asked anew: that would throw away what somebody says in this very moment. It is heard at the next look.
        raise TaskAwaitingInput(method_name="execute_complete", timeout=self.response_timeout)


def _written(brake: int, said: Any) -> Question:
    approved = said["chosen_options"] == [ApprovalOperator.APPROVE]
    person = (said["responded_by_user"] or {}).get("name") or "somebody"
    with engine().begin() as connection:
        try:
            return answer(
                connection,
                brake,
                BrakeAnswer.APPROVED if approved else BrakeAnswer.REFUSED,
                person=person,
                reason=said["params_input"].get("reason") or "",
            )
        except BadInputError as error:  # said on the command line a moment before, or this task is cleared
            logger.warning("%s", error)
            return question(connection, brake)
