"""How far an extraction is, told now and then: what it has reserved shrinks to what is left to be written."""

import logging
import time

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from include.operations.stage import Work
from include.ops_db.reservations import shrink

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 10.0
"""A person who waits is content with that, and a statement across an ocean takes a quarter of a second."""


class Progress:
    """Counts bytes down; `left_bytes` is what is yet to be written."""

    def __init__(self, work: Work, *, left_bytes: int) -> None:
        self._work = work
        self._left_bytes = left_bytes
        self._told_at = time.monotonic()

    def begin(self, size_bytes: int) -> None:
        """A file of this size comes next; those before are written. Never raises: nobody depends on it."""
        if time.monotonic() - self._told_at >= PAUSE_SECONDS:
            self._told_at = time.monotonic()
            self._tell()
        self._left_bytes -= size_bytes

    def _tell(self) -> None:
        lease = self._work.lease
        try:
            with Session(self._work.engine) as session, session.begin():
                shrink(session, operation_id=lease.operation_id, lease_token=lease.token, left_bytes=self._left_bytes)
        except SQLAlchemyError as error:
            logger.warning("How far operation %s is could not be told: %s", lease.operation_id, type(error).__name__)
