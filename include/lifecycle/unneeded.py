"""Damaged packages in a buffer that nobody needs any more: the gate lets them go, and their bytes stay as evidence.

Bytes that are wrong are worth nothing as data, and the package is safe in its archives. But they may be the first sign
of a disk that is failing, so they are put aside for a person instead of deleted. Nothing waits for that person.
"""

from dataclasses import replace

from include.lifecycle.quarantine import put_aside
from include.lifecycle.removal import DoomedCopy, Fate
from include.operations.stage import Work
from include.ops_db.states import CopyStatus
from include.storage.interface import Storage


def put_unneeded_aside(work: Work, storage: Storage, copy: DoomedCopy, fate: Fate) -> Fate:
    """Move what was known to be damaged, and is, into quarantine; any other fate stays as it is.

    Raises:
        LeaseLostError: somebody else has the operation; nothing was moved.
        TransientError, PermanentError, NoSpaceError: from the storage, or ops-db cannot be asked.
    """
    if not copy.known_bad or not fate.changed:
        return fate
    kept = [put_aside(work, storage, file.path) for file in copy.files]
    return replace(fate, status=CopyStatus.DELETED, changed=(), kept=tuple(name for name in kept if name is not None))
