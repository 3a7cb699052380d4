"""A worker that is killed in the middle: `python -m tests.stages.killed_deletion URL ROOT OPERATION DELETES`.

It leases the operation and deletes as the real one does, and is gone, by SIGKILL, after DELETES deletions of files.
"""

import os
import signal
import sys
from pathlib import Path

from sqlalchemy import create_engine

from include.stages import deletion
from include.storage.disk import DiskStorage
from tests.observatory import Observatory, sandbox_topology


class KillingStorage(DiskStorage):
    """A folder whose user does not survive."""

    deletes_left = 0

    def delete(self, path: str) -> bool:
        if not self.deletes_left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.deletes_left -= 1
        return super().delete(path)


def main(url: str, root: str, operation_id: str, deletes: str) -> None:
    observatory = Observatory(create_engine(url), Path(root), sandbox_topology(Path(root)))
    storage = KillingStorage(observatory.folder("ccat_source"))
    storage.deletes_left = int(deletes)
    observatory.storages["ccat_source"] = storage
    observatory.runner(deletion, "ccat_source").run([int(operation_id)])


if __name__ == "__main__":
    main(*sys.argv[1:])
