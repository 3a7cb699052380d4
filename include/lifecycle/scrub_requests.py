"""Asking for copies to be read again where they lie, because a decision waits for it."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from include.lifecycle.copies import Copy
from include.operations.planning import NewOperation, want
from include.topology import OperationKind

ASKED_FOR_PRIORITY = 10
"""Before the scrubs whose day it merely is (0)."""


def ask_for_scrub(session: Session, copies: Sequence[Copy], *, why: str) -> None:
    """Want each copy scrubbed at its location; one that is about to be scrubbed already is left as it is.

    Args:
        session: in the caller's transaction; the request stands once that commits.
        copies: of packages, in archives or buffers.
        why: a sentence for whoever looks at the scrub.
    """
    for copy in copies:
        wanted = NewOperation(
            subject_id=copy.id, explanation=why, size_bytes=copy.size_bytes, priority=ASKED_FOR_PRIORITY
        )
        want(session, kind=OperationKind.SCRUBBING, data_location_id=copy.data_location_id, operations=[wanted])
