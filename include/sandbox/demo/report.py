"""What the demo reports: counted in ops-db and, for what was staged, on the disk itself."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from sqlalchemy import Engine, text

from include.errors import ChecksumMismatchError, MissingFileError
from include.integrity.checksum import checksum_of
from include.lanes import PLACES
from include.ops_db.states import NO_BYTES
from include.sandbox.demo.instrument import COPY_BYTES, Observation, WrittenFile


class StageFigures(BaseModel):
    """Of one kind of operation; seconds are summed over attempts, which overlap."""

    operations: int
    bytes: int
    seconds: float


class CopyFigures(BaseModel):
    """Copies at one location: raw files at a SOURCE, packages elsewhere. Staged ones are present."""

    present: int
    deleted: int


class ArchiveFigures(BaseModel):
    """What lies in one archive, and how many of the packages were read back and verified."""

    packages: int
    bytes: int
    verified: int


class StagedFigures(BaseModel):
    """What came back; verified: compared with the instrument's own files, byte for byte by checksum."""

    files: int
    bytes: int
    verified: int


class Report(BaseModel):
    """The whole run. Sizes in bytes."""

    seconds_setup: float
    seconds_start: float
    seconds_pipeline: float
    files: int
    bytes: int
    stages: dict[str, StageFigures]
    copies: dict[str, CopyFigures]
    archives: dict[str, ArchiveFigures]
    staged: StagedFigures
    locations: dict[str, str]
    """Where it all lies: the folder of each disk location, the bucket of each archive."""


STAGES = text(
    """
    select o.kind, count(distinct o.id) as operations, coalesce(sum(a.size_bytes), 0) as bytes,
      coalesce(sum(extract(epoch from a.finished_at - a.started_at)), 0) as seconds
    from operation o join operation_attempt a on a.operation_id = o.id
    where o.status = 'completed' and a.outcome in ('completed', 'yielded')
    group by o.kind
    """
)

COPIES = text(
    """
    select l.full_name, count(*) filter (where c.status <> all(:no_bytes)) as present,
      count(*) filter (where c.status = 'deleted') as deleted
    from data_location l left join physical_copy c on c.data_location_id = l.id
    where l.active group by l.full_name order by l.full_name
    """
)

ARCHIVES = text(
    """
    select l.full_name, count(c.id) as packages, coalesce(sum(c.size_bytes), 0) as bytes,
      count(c.verified_at) filter (where c.checksum = p.checksum) as verified
    from data_location l
    left join physical_copy c on c.data_location_id = l.id and c.status = 'present'
    left join raw_data_package p on p.id = c.raw_data_package_id
    where l.active and l.location_type = 'long_term_archive' group by l.full_name order by l.full_name
    """
)


def stage_figures(engine: Engine) -> dict[str, StageFigures]:
    """Read what each stage did, in pipeline order."""
    with engine.connect() as connection:
        rows = {row.kind: row for row in connection.execute(STAGES)}
    return {
        str(kind): StageFigures(operations=row.operations, bytes=row.bytes, seconds=round(row.seconds, 2))
        for kind in PLACES
        if (row := rows.get(kind))
    }


def copy_figures(engine: Engine) -> dict[str, CopyFigures]:
    """Read what lies where."""
    with engine.connect() as connection:
        rows = connection.execute(COPIES, {"no_bytes": list(NO_BYTES)}).all()
    return {row.full_name: CopyFigures(present=row.present, deleted=row.deleted) for row in rows}


def archive_figures(engine: Engine) -> dict[str, ArchiveFigures]:
    """Read what is archived."""
    with engine.connect() as connection:
        rows = connection.execute(ARCHIVES).all()
    return {
        row.full_name: ArchiveFigures(packages=row.packages, bytes=row.bytes, verified=row.verified) for row in rows
    }


def verify_staged(processing: Path, observations: list[Observation]) -> StagedFigures:
    """Read every staged file and compare it with what the instrument wrote.

    Raises:
        MissingFileError: one is not there.
        ChecksumMismatchError: one is not what the instrument wrote.
    """
    files = size_bytes = 0
    for observation in observations:
        for file in observation.files:
            path = processing / observation.instrument / str(observation.id) / file.path
            _verify(path, file)
            files += 1
            size_bytes += file.size_bytes
    return StagedFigures(files=files, bytes=size_bytes, verified=files)


def _verify(path: Path, file: WrittenFile) -> None:
    if not path.is_file():
        raise MissingFileError(f"{path} was not staged.")
    found = checksum_of(_chunks(path))
    if found != file.checksum:
        raise ChecksumMismatchError(f"{path} is {found}, but the instrument wrote {file.checksum}.")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as staged:
        while chunk := staged.read(COPY_BYTES):
            yield chunk
