"""Packages that were made, and of which no good copy is left: what packaging does before it reads raw files again.

The buffers of the site are looked into first: somebody may have put a good copy back, and what is bad there must be
out of the way. See `packaging.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from include.errors import ChecksumMismatchError, MissingFileError, TransientError
from include.integrity.verify import checked_chunks
from include.lifecycle.lost import loss_of, record_made_again, record_not_lost
from include.lifecycle.package_lock import lock_package
from include.lifecycle.quarantine import put_aside
from include.operations.stage import Done, Work
from include.ops_db.copies import record_put_aside
from include.ops_db.places import location_id
from include.topology import DataLocation, LocationType


@dataclass(frozen=True, kw_only=True)
class MadeBefore:
    """A package as it was made. `copies` says where copies are or were; it stands in sentences."""

    id: int
    name: str
    path: str
    size_bytes: int
    checksum: str
    copies: str = ""
    put_aside: str = ""

    def cannot_be_made(self, why: str, *, source: str) -> str:
        """Say that nothing is left, what there was, and what a person can do."""
        return (
            f"No good copy of {self.name} is left, and it cannot be made again from its raw files at {source}: {why}"
            f" Copies were at: {self.copies}.{self.put_aside} A person can put a good copy of {self.path}"
            f" ({self.checksum}) into a buffer of the same site, or the raw files back as they were filed; what is left"
            " of it may be in `quarantine/` of these locations, or staged somewhere."
        )


def without_raw_files(work: Work, package: MadeBefore) -> Done | MadeBefore:
    """End it where nothing has to be made; else return what is known of the copies, bad ones put aside.

    Raises:
        TransientError: it is being deleted, or changed by somebody else.
    """
    with Session(work.engine) as session:
        loss = loss_of(session, package.id)
    if not loss.is_lost:
        return Done(
            explanation=f"Package {package.name} was made already, and is at {loss.copies}; nothing is left to do.",
            record=lambda session: record_not_lost(session, package.id),
        )
    aside = ""
    for buffer in work.topology.of_type(LocationType.BUFFER):
        if buffer.site != work.location.site:
            continue
        try:
            found = _look_into(work, package, buffer)
        except TransientError:
            work.check()
            continue  # that disk is away: another buffer may have it, or take it
        if found.is_good:
            return Done(
                explanation=f"A good copy of {package.name} lies in {buffer.full_name}: all of it was read. Bundling"
                " takes it from there.",
                size_bytes=package.size_bytes,
                record=recorder(package, buffer, read_back=True),
            )
        if found.kept is not None:
            aside += f" What was in {buffer.full_name} is kept there as {found.kept}."
    return replace(package, copies=loss.copies, put_aside=aside)


@dataclass(frozen=True)
class _Found:
    is_good: bool = False
    kept: str | None = None
    """The name in quarantine of what was bad."""


def _look_into(work: Work, package: MadeBefore, buffer: DataLocation) -> _Found:
    storage = work.storage_of(buffer.full_name)
    read = storage.read(package.path)
    what = f"{package.path} in {buffer.full_name}"
    try:
        for _ in checked_chunks(read, what=what, size_bytes=package.size_bytes, checksum=package.checksum):
            work.check()
    except MissingFileError:
        kept = None
    except ChecksumMismatchError:
        kept = put_aside(work, storage, package.path)
    else:
        return _Found(is_good=True)
    with Session(work.engine) as session, session.begin():
        lock_package(session, package.id)
        record_put_aside(session, [package.id], data_location_id=location_id(session, buffer.full_name))
    return _Found(kept=kept)


def recorder(package: MadeBefore, buffer: DataLocation, *, read_back: bool) -> Callable[[Session], None]:
    """Return what writes that a good copy is in a buffer."""

    def record(session: Session) -> None:
        if not record_made_again(session, package.id, buffer=buffer.full_name, read_back=read_back):
            raise TransientError(
                f"{buffer.full_name} has another copy of {package.name} now, or one is being deleted there."
            )

    return record
