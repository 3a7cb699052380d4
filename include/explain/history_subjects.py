"""What somebody wants to know the life of: a file by its path or UUID, a package, or an observation."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from include.errors import BadInputError
from include.explain.find import SubjectKind, find_package, is_uuid, subject_of
from include.plurals import counted
from include.sizes import size

FILES = """
select r.id, r.path, r.size_bytes, r.checksum, r.raw_data_package_id as package, l.full_name as place,
  r.executed_obs_unit_id as observation, r.filed_at, f.received_from
from raw_data_file r join data_location l on l.id = r.data_location_id join filing f on f.id = r.filing_id
"""

FILE_OF_ID = text(f"{FILES} where r.id = :id")

# By the index on place and path; the same path may have been filed for several observations.
FILES_OF_PATH = text(
    f"""
    {FILES}
    where r.data_location_id in (select id from data_location where location_type = 'source') and r.path = :path
    order by r.filed_at desc limit 20
    """  # noqa: S608 - put together from constants
)

PACKAGE = text(
    """
    select p.id, p.name, p.state, p.file_count, p.content_bytes, p.executed_obs_unit_id as observation
    from raw_data_package p where p.id = :id
    """
)

PACKAGES_OF = text("select id from raw_data_package where executed_obs_unit_id = :observation order by id")
IS_OBSERVATION = text("select exists (select from executed_obs_unit where id = :id)")


@dataclass(frozen=True, kw_only=True)
class HistorySubject:
    """What the history is of."""

    title: str
    about: str
    """A sentence."""
    packages: tuple[int, ...]


def history_subject(connection: Connection, word: str) -> HistorySubject:
    """Return what a word means: a file's path or UUID, a package's name or `package:ID`, an observation's UUID.

    Raises:
        BadInputError: it means nothing, or several files.
    """
    path = word.removeprefix("file:")
    if is_uuid(path):
        return _of_uuid(connection, UUID(path))
    subject = subject_of(word)
    if subject.kind is SubjectKind.OBSERVATION:
        return _of_uuid(connection, UUID(subject.word)) if is_uuid(subject.word) else _unknown(word)
    if found := connection.execute(FILES_OF_PATH, {"path": path}).all():
        if len(found) > 1:
            listed = "; ".join(f"{row.id} (observation {row.observation}, {row.filed_at:%Y-%m-%d})" for row in found)
            raise BadInputError(f"{path!r} was filed {len(found)} times: name it by its UUID, one of {listed}.")
        return _of_file(connection, found[0])
    if path != word:
        return _unknown(word)
    return _of_package(connection, find_package(connection, word))


def _of_uuid(connection: Connection, found: UUID) -> HistorySubject:
    file = connection.execute(FILE_OF_ID, {"id": found}).one_or_none()
    if file is not None:
        return _of_file(connection, file)
    if not connection.execute(IS_OBSERVATION, {"id": found}).scalar_one():
        return _unknown(str(found))
    packages = tuple(connection.execute(PACKAGES_OF, {"observation": found}).scalars())
    return HistorySubject(
        title=f"Observation {found}", about=f"{counted(len(packages), 'package')}.", packages=packages
    )


def _of_file(connection: Connection, file: Row[Any]) -> HistorySubject:
    inside = "It is in no package yet."
    if file.package is not None:
        name = connection.execute(PACKAGE, {"id": file.package}).one().name
        inside = f"It is in package {name}, whose life this is."
    return HistorySubject(
        title=f"File {file.path}",
        about=f"{size(file.size_bytes)}, {file.checksum or 'no checksum yet'}; filed at {file.place} on"
        f" {file.filed_at:%Y-%m-%d %H:%M} UTC by {file.received_from} for observation {file.observation}. {inside}",
        packages=() if file.package is None else (file.package,),
    )


def _of_package(connection: Connection, package: int) -> HistorySubject:
    row = connection.execute(PACKAGE, {"id": package}).one()
    return HistorySubject(
        title=f"Package {row.name}: {row.state}",
        about=f"{counted(row.file_count, 'file')}, {size(row.content_bytes)}, of observation {row.observation}.",
        packages=(row.id,),
    )


def _unknown(word: str) -> HistorySubject:
    raise BadInputError(
        f"ops-db knows no file, package or observation {word!r}. A file is named by its path as it was filed, or its"
        " UUID; `dts explain OBSERVATION` names packages."
    )
