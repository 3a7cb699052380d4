"""Whether files are at a location as they are filed. Looks at names and sizes; bytes are read in the packaging pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import BadInputError, FilingRefusedError
from include.registration.conf import FilingConf
from include.registration.files import Doubles, FiledFile
from include.registration.manifest import read_manifest
from include.registration.shown import place, reason_shown, shown
from include.storage.interface import Storage

CHECK_EVERY = 1000

# What an earlier filing of the same file put into ops-db, and what was then packaged, archived and removed here.
REMOVED_HERE = text(
    """
    select k.path
    from unnest(cast(:paths as text[]), cast(:sizes as bigint[])) as absent(path, size_bytes)
    join raw_data_file k on k.executed_obs_unit_id = :observation and k.path = absent.path
      and k.size_bytes = absent.size_bytes
    join physical_copy c on c.raw_data_file_id = k.id and c.data_location_id = :data_location_id
      and c.status = 'deleted'
    """
)


@dataclass(frozen=True, slots=True)
class IdentifiedFile:
    """A filed file with its id."""

    file: FiledFile
    identity: UUID


def identified_files(filing: FilingConf, *, storage: Storage) -> list[IdentifiedFile]:
    """Return the files of a filing, inline or from its manifest.

    Raises:
        FilingRefusedError: the manifest is missing or malformed, names no file, or one twice.
    """
    doubles = Doubles(filing.executed_obs_unit)
    if filing.manifest is None:
        return [
            IdentifiedFile(file, doubles.add(file, where=place(("files", index))))
            for index, file in enumerate(filing.files or ())
        ]
    where = f"manifest {shown(filing.manifest)}"
    lines = read_manifest(filing.manifest, storage=storage, location=filing.data_location)
    files = [
        IdentifiedFile(line.file, doubles.add(line.file, where=f"line {line.number} of {where}")) for line in lines
    ]
    if not files:
        raise FilingRefusedError(f"{where} names no files; a filing needs at least one.")
    return files


def absent_files(
    files: Sequence[IdentifiedFile], *, storage: Storage, location: str, check: Callable[[], None]
) -> list[FiledFile]:
    """Return the files that are not there.

    Raises:
        FilingRefusedError: one is there with another size, or its path leads out of the location.
        TransientError: the storage is busy.
    """
    absent = []
    for count, identified in enumerate(files):
        if count % CHECK_EVERY == 0:
            check()
        file = identified.file
        try:
            found = storage.stat(file.path)
        except BadInputError as error:
            raise FilingRefusedError(f"{shown(file.path)} is refused: {reason_shown(error)}.") from error
        if found is None:
            absent.append(file)
        elif found.size_bytes != file.size_bytes:
            raise FilingRefusedError(
                f"{shown(file.path)} has {found.size_bytes} bytes at {location}, not the {file.size_bytes} filed;"
                " file it once it is closed, with its true size."
            )
    return absent


def require_removed_here(
    session: Session, absent: Sequence[FiledFile], *, observation: UUID, data_location_id: int, location: str
) -> None:
    """Let pass absent files that were registered before, and then removed here because they are safe elsewhere.

    Raises:
        FilingRefusedError: a file is simply not there.
    """
    removed = set(
        session.scalars(
            REMOVED_HERE,
            {
                "paths": [file.path for file in absent],
                "sizes": [file.size_bytes for file in absent],
                "observation": observation,
                "data_location_id": data_location_id,
            },
        )
    )
    missing = [file for file in absent if file.path not in removed]
    if missing:
        others = f" (and {len(missing) - 1:,} more {'is' if len(missing) == 2 else 'are'} not)" if missing[1:] else ""
        raise FilingRefusedError(
            f"{shown(missing[0].path)} is not at {location}, or is no regular file there{others};"
            " write it, then file it."
        )
