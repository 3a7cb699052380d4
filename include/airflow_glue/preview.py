"""The dry run of deletion as a task's result."""

import logging

from sqlalchemy.orm import Session

from include.airflow_glue.connections import engine, topology
from include.lanes import Lane
from include.lifecycle.preview import preview
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
    lines = [
        f"{answer.package}: {answer.copies} copies, {answer.size_bytes} bytes"
        f" {'would go' if answer.may_go else 'would stay'}: {answer.reason}"
        for answer in answers
    ]
    for line in lines:
        logger.info("%s", line)
    return lines[:SHOWN]
