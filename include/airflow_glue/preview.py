"""The dry run of deletion as a task's result."""

import logging

from sqlalchemy.orm import Session

from include.airflow_glue.connections import engine, topology
from include.lanes import Lane
from include.lifecycle.preview import brake_sentence, preview, sentences
from include.operations.stage import Selection

logger = logging.getLogger(__name__)

SHOWN = 200
"""Lines in the result (XCom); the log has all."""


def would_delete(lane: Lane, *, selection: Selection) -> list[str]:
    """Ask the gate about everything at a location, change nothing, and return a sentence for each package."""
    if selection.leaves_out(lane.location):
        return []
    with Session(engine()) as session:
        answers = preview(session, topology=topology(), location=lane.location, packages=selection.packages)
        brake = brake_sentence(session, topology(), lane.location, answers)
    lines = sentences(answers) if brake is None else [brake, *sentences(answers)]
    for line in lines:
        logger.info("%s", line)
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"And {more} more: this task's log has them."] if more > 0 else [])
