"""Making sure that the lease is still held, by asking ops-db itself, while something is done that cannot be undone."""

import time
from typing import Any, cast

from sqlalchemy import CursorResult
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from include.errors import LeaseLostError, TransientError
from include.operations.lease import RENEW_LEASE
from include.operations.stage import Work


class LeaseWatch:
    """Asks ops-db now and then, not only this process's own threads, whether the lease is still held.

    A process that was stopped for an hour wakes up in the middle of a loop that deletes: by then somebody else may have
    ended this deletion, and the same files may have been staged anew.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self.seconds = work.topology.host(work.host).lease_seconds
        self._confirmed_at = float("-inf")

    def __call__(self) -> None:
        """Return if nobody else can have the operation; renews the lease at a quarter of its life.

        Raises:
            LeaseLostError: somebody else has it.
            TransientError: ops-db does not answer.
        """
        self._work.check()
        if time.monotonic() - self._confirmed_at >= self.seconds / 4:
            try:
                with Session(self._work.engine) as session, session.begin():
                    self.confirm(session)
            except SQLAlchemyError as error:
                raise TransientError(
                    f"ops-db cannot be asked whether operation {self._work.lease.operation_id} is still ours"
                    f" ({type(error).__name__}), so nothing more is deleted."
                ) from error

    def confirm(self, session: Session) -> None:
        """Renew the lease in this transaction, as its last lock.

        Raises:
            LeaseLostError: somebody else has it; the transaction must not be committed.
        """
        asked_at = time.monotonic()
        lease = self._work.lease
        values = {"operation_id": lease.operation_id, "lease_token": lease.token, "lease_seconds": self.seconds}
        if cast("CursorResult[Any]", session.execute(RENEW_LEASE, values)).rowcount != 1:
            raise LeaseLostError(
                f"Operation {lease.operation_id} was taken over by another worker; nothing is deleted."
            )
        self._confirmed_at = asked_at
