"""Extracting a package from the first archive copy that is good, each file verified before it gets its name."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from include.errors import (
    ChecksumMismatchError,
    DtsError,
    IntegrityError,
    LeaseLostError,
    MissingFileError,
    TransientError,
)
from include.integrity.manifest import Member, PackageManifest
from include.integrity.verify import MemberWriter, read_package
from include.lifecycle.paced import paced_reads
from include.lifecycle.sources import ArchiveCopy, mark_bad
from include.lifecycle.staging_progress import Progress
from include.operations.patience import ask_again
from include.operations.stage import Work
from include.ops_db.states import CopyStatus
from include.storage.disk import DiskStorage
from include.storage.interface import Chunk

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be brought where."""

    package: str
    package_id: int
    folder: str
    until: datetime
    manifest: PackageManifest
    copies: list[ArchiveCopy]

    @property
    def content_bytes(self) -> int:
        """What the files take together."""
        return sum(member.size_bytes for member in self.manifest.members)


def extract_first_good(work: Work, order: Order, storage: DiskStorage) -> tuple[ArchiveCopy, list[str]]:
    """Try the archive copies in turn; return the one that was extracted, and sentences about those that were not good.

    Raises:
        IntegrityError: none of them is what it should be.
        TransientError: none that could be read now is.
        DtsError: whatever the disk has to say.
    """
    troubles: list[str] = []
    passing = False
    for copy in order.copies:
        try:
            _extract_or_again(work, order, copy, storage)
        except ChecksumMismatchError as error:
            _mark(work, order, copy, CopyStatus.CORRUPT)
            troubles.append(f"{copy.full_name}, marked corrupt: {error}.")
        except _CannotReadError as failure:
            if isinstance(failure.error, MissingFileError):
                _mark(work, order, copy, CopyStatus.MISSING)
                troubles.append(f"{copy.full_name}, marked missing: {failure.error}.")
            else:
                passing = True
                troubles.append(f"{copy.full_name}: {failure.error}.")
        else:
            return copy, troubles
    sentence = f"No archive copy of {order.package} could be staged. {' '.join(troubles)}"
    if passing:
        raise TransientError(sentence)
    raise IntegrityError(f"{sentence} Repair one from wherever a good copy is left.")


class _CannotReadError(Exception):
    """The archive's side of reading failed, not the disk's side of writing."""

    def __init__(self, error: DtsError) -> None:
        super().__init__(str(error))
        self.error = error


def _extract_or_again(work: Work, order: Order, copy: ArchiveCopy, storage: DiskStorage) -> None:
    """Read a second time before a copy is called corrupt: a bit may flip on the way, and nobody takes it back."""
    try:
        _extract(work, order, copy, storage)
    except ChecksumMismatchError as error:
        logger.warning("%s; it is read once more.", error)
        _extract(work, order, copy, storage)


def _extract(work: Work, order: Order, copy: ArchiveCopy, storage: DiskStorage) -> None:
    progress = Progress(work, left_bytes=order.content_bytes)

    def sink(member: Member) -> AbstractContextManager[MemberWriter]:
        work.check()
        progress.begin(member.size_bytes)
        return storage.writing(f"{order.folder}/{member.path}", durable=False)

    read_package(_chunks(work, copy), manifest=order.manifest, sink=sink)


def _chunks(work: Work, copy: ArchiveCopy) -> Iterator[Chunk]:
    try:
        storage = work.storage_of(copy.full_name)
        with paced_reads(work, origin=copy.full_name) as paced:
            for chunk in storage.read(copy.path) if paced is None else paced.read(storage, copy.path):
                work.check()
                yield chunk
    except LeaseLostError:
        raise
    except DtsError as error:
        raise _CannotReadError(error) from error


def _mark(work: Work, order: Order, copy: ArchiveCopy, status: CopyStatus) -> None:
    """At once, not when the operation ends: while the next copy is read, for an hour, this one must not count."""

    def write() -> None:
        with Session(work.engine) as session, session.begin():
            mark_bad(session, raw_data_package_id=order.package_id, copy=copy, status=status)

    ask_again(write, seconds=work.topology.host(work.host).lease_seconds)
