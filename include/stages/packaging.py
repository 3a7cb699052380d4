"""Packaging: files of one observation and module become a RawDataPackage, a tar in the site's buffer.

**What it does.** `plan` gathers filed files that are in no package yet, by observation and module. A package is cut
when it reaches `package_max_bytes` or `package_max_files` (files in order of their paths; one that is larger has a
package to itself). What is left over becomes the last package once the observation is finished, or once its oldest file
has waited `package_max_age_seconds`. Sizes are those of the files; the tar's headers come on top. Files that still wait
for their age have no Operation yet, so no plan can know when they fall due: the clock (`clock_seconds`) finds them.
`run` reads the files once and writes the tar straight into the first buffer of the site that has room, while all
checksums and the member index are made. It gets its name there once all of it is right, and is recorded after that.
What a killed worker left, a `.part` file, is swept away with the next package that goes into the same folder (of an
instrument and a day), once it is an hour old.

**When it is safe to repeat.** Always. The same files give the same bytes under the same name, whoever writes them.

**When it fails.** A file is missing, or is not as it was filed: the explanation names it, and the package is `failed`.
Let the instrument put the file back as it was filed, then `dts retry` the operation or clear its task: the package is
made and is `waiting` again. New content that is meant is filed under another path: what was filed once never changes.
A full buffer is no failure: the operation waits, and looks again every `waiting_seconds`.

**When a package is lost.** A package that was made, and of which no good copy is known any more in any buffer or
archive, is wanted again. `run` first looks whether a good copy lies in a buffer of this site after all, moves what is
bad there to `quarantine/`, and makes the package anew: the same files give the same checksum, or it fails and names the
file. If that cannot be, the package is `failed`, and the explanation says which copies there were.

**How to stop it.** Pause this DAG. Files wait at the source; nothing is deleted there before it is archived.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.errors import (
    FileChangedError,
    IntegrityError,
    LeaseLostError,
    NoSpaceError,
    PermanentError,
    TransientError,
    WrongHostError,
)
from include.integrity.package import PackageStream, SourceFile, write_package
from include.lifecycle.failover import buffers_of, by_health
from include.lifecycle.leftovers import sweep_parts
from include.lifecycle.lost import record_lost
from include.lifecycle.room import release_room, reserve_room
from include.operations.decide import sentence
from include.operations.stage import Done, FailedWith, Planning, Work
from include.ops_db.made_packages import record_cannot_be_made, record_made
from include.ops_db.tables import ExecutedObsUnit, RawDataFile, RawDataPackage
from include.plurals import counted
from include.stages.as_filed import require_as_filed
from include.stages.cutting import cut_packages
from include.stages.remaking import MadeBefore, recorder, without_raw_files
from include.storage.disk import DiskStorage
from include.topology import DataLocation, OperationKind

KIND = OperationKind.PACKAGING


@dataclass(frozen=True, kw_only=True)
class _Package:
    """What is to be made."""

    id: int
    name: str
    path: str
    made: MadeBefore | None
    """What it was, if this is not the first time."""
    started_at: datetime
    files: tuple[SourceFile, ...]


def plan(planning: Planning) -> None:
    """Cut what is ready into packages, and want each of them made."""
    cut_packages(planning)


def run(work: Work) -> Done:
    """Make one package.

    Raises:
        FailedWith: a file is missing or not as it was filed.
        NoSpaceError: no buffer of the site has room.
        TransientError: no buffer of the site is there.
        WrongHostError: the source is not a folder of this host.
    """
    package = _load(work)
    if package.made is not None:
        found = without_raw_files(work, package.made)
        if isinstance(found, Done):
            return found
        package = replace(package, made=found)
    source = work.storage_of(work.location.full_name)
    if not isinstance(source, DiskStorage):
        raise WrongHostError(
            f"{work.location.full_name} is no folder of {work.host}: raw files are read where they lie."
        )
    with _blaming_files(work, package):
        require_as_filed(source, package.files)
        stream = write_package(
            package.files, open_file=source.open, modified_at=int(package.started_at.astimezone(UTC).timestamp())
        )
    written = _write(work, package, stream)
    manifest = stream.manifest(package.name)
    if package.made is not None:
        return Done(
            explanation=f"Package {package.name} was lost, and is made again from its raw files: it is in"
            f" {written.buffer.full_name} with the same checksum; bundling takes it from there. Copies were at:"
            f" {package.made.copies}.{package.made.put_aside}{written.why_not_another}",
            size_bytes=manifest.size_bytes,
            record=recorder(package.made, written.buffer, read_back=False),
        )
    return Done(
        explanation=f"Package {package.name} ({counted(len(manifest.members), 'file')}, {manifest.size_bytes:,} bytes)"
        f" is in {written.buffer.full_name}; bundling takes it from there.{written.why_not_another}",
        size_bytes=manifest.size_bytes,
        record=lambda session: record_made(
            session, package.id, manifest=manifest, path=package.path, buffer=written.buffer.full_name
        ),
    )


def _load(work: Work) -> _Package:
    with Session(work.engine) as session:
        row = session.execute(
            select(RawDataPackage, ExecutedObsUnit.started_at)
            .join(ExecutedObsUnit, ExecutedObsUnit.id == RawDataPackage.executed_obs_unit_id)
            .where(RawDataPackage.id == work.lease.raw_data_package_id)
        ).one()
        files = session.execute(
            select(RawDataFile.path, RawDataFile.size_bytes, RawDataFile.checksum, RawDataFile.id).where(
                RawDataFile.raw_data_package_id == work.lease.raw_data_package_id
            )
        )
        return _Package(
            id=row.RawDataPackage.id,
            name=row.RawDataPackage.name,
            path=row.RawDataPackage.path,
            made=_made_before(row.RawDataPackage),
            started_at=row.started_at,
            files=tuple(SourceFile(path, size, checksum, file_id) for path, size, checksum, file_id in files),
        )


def _made_before(row: RawDataPackage) -> MadeBefore | None:
    if row.size_bytes is None or row.checksum is None:
        return None
    return MadeBefore(id=row.id, name=row.name, path=row.path, size_bytes=row.size_bytes, checksum=row.checksum)


@contextmanager
def _blaming_files(work: Work, package: _Package) -> Iterator[None]:
    """Turn an error about the raw files into one that also marks the package as failed."""
    try:
        yield
    except (PermanentError, IntegrityError) as error:
        if package.made is not None:
            lost = type(error)(package.made.cannot_be_made(sentence(error), source=work.location.full_name))
            raise FailedWith(lost, record=lambda session: record_lost(session, package.id)) from error
        told = type(error)(
            f"Package {package.name} cannot be made at {work.location.full_name}: {sentence(error)}"
            " Let the instrument put back what it filed; other content may be filed under another path."
        )
        raise FailedWith(told, record=lambda session: record_cannot_be_made(session, package.id)) from error


@dataclass(frozen=True)
class _Written:
    """Where the package went, and a sentence if that is not the first choice."""

    buffer: DataLocation
    why_not_another: str


@dataclass
class _Chunks:
    """The package's bytes, watched: stops when the operation was taken over, and tells whether reading began."""

    work: Work
    package: _Package
    stream: PackageStream
    begun: bool = False

    def __iter__(self) -> Iterator[bytes]:
        self.begun = True
        chunks = iter(self.stream)
        while True:
            self.work.check()
            with _blaming_files(self.work, self.package):
                chunk = next(chunks, None)
            if chunk is None:
                break
            yield chunk
        with _blaming_files(self.work, self.package):
            self._require_same()

    def _require_same(self) -> None:
        """Before it gets its name: a package that was made before must come out the same."""
        made, checksum = self.package.made, self.stream.manifest(self.package.name).checksum
        if made is not None and checksum != made.checksum:
            raise FileChangedError(
                f"each file has its checksum, but the package has {checksum}: its observation was given another start"
            )


def _write(work: Work, package: _Package, stream: PackageStream) -> _Written:
    """Write the package into the first buffer by priority that is well and takes it."""
    refusals: list[TransientError | NoSpaceError] = []
    with Session(work.engine) as session:
        choices = by_health(session, buffers_of(work.topology, work.location.site))
    for choice in choices:
        buffer = choice.buffer
        chunks = _Chunks(work, package, stream)
        try:
            _write_to(work, buffer, package, chunks, size_bytes=stream.size_bytes)
        except LeaseLostError:
            raise
        except (TransientError, NoSpaceError) as error:
            if chunks.begun:  # it was there and had room: the next try decides anew
                raise
            refusals.append(error)
        else:
            refused = "".join(f" Not in a buffer before it: {sentence(error)}" for error in refusals)
            return _Written(buffer, choice.why_not_another + refused)
    texts = " ".join(sentence(error) for error in refusals)
    if any(isinstance(error, NoSpaceError) for error in refusals):
        raise NoSpaceError(texts)
    raise TransientError(texts)


def _write_to(work: Work, buffer: DataLocation, package: _Package, chunks: _Chunks, *, size_bytes: int) -> None:
    storage = work.storage_of(buffer.full_name)
    if isinstance(storage, DiskStorage):
        sweep_parts(storage, [package.path.rpartition("/")[0]])  # first of all: it may be what fills the disk
    what = f"package {package.name}"
    reserve_room(work, needed_bytes=size_bytes, what=what, space=storage.space, at=buffer.full_name)
    storage.write(package.path, chunks, size_bytes=size_bytes)
    release_room(work)
