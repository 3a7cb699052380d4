"""What ops-db learns of a package that was made: its size and checksums, where its files lie in it, and its copy."""

from typing import Any, cast

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from include.errors import TopologyError, TransientError
from include.integrity.manifest import PackageManifest

RECORD_PACKAGE = text(
    """
    update raw_data_package set
      state = 'waiting', packaged_at = now(), size_bytes = :size_bytes, checksum = :checksum,
      block_bytes = :block_bytes, block_checksums = :block_checksums
    where id = :package_id and packaged_at is null and state in ('waiting', 'failed')
    """
)

RECORD_MEMBERS = text(
    """
    update raw_data_file f set offset_bytes = found.offset_bytes, checksum = found.checksum
    from unnest(cast(:ids as uuid[]), cast(:sizes as bigint[]), cast(:offsets as bigint[]), cast(:checksums as text[]))
      as found(id, size_bytes, offset_bytes, checksum)
    where f.id = found.id and f.raw_data_package_id = :package_id and f.size_bytes = found.size_bytes
      and coalesce(f.checksum, found.checksum) = found.checksum
    """
)

RECORD_COPY = text(
    """
    insert into physical_copy (raw_data_package_id, data_location_id, path, size_bytes, status, checksum)
    select :package_id, l.id, :path, :size_bytes, 'present', :checksum from data_location l where l.full_name = :buffer
    """
)

RECORD_FAILURE = text(
    "update raw_data_package set state = 'failed' where id = :package_id and packaged_at is null and state = 'waiting'"
)


def record_made(session: Session, package_id: int, *, manifest: PackageManifest, path: str, buffer: str) -> None:
    """A package is in a buffer, written and not read back. Package first (the update locks it), then files, then copy.

    Raises:
        TransientError: somebody else made it, or its files were filed anew meanwhile.
        TopologyError: ops-db does not know the buffer.
    """
    made = {"package_id": package_id, "size_bytes": manifest.size_bytes, "checksum": manifest.checksum}
    blocks = {"block_bytes": manifest.block_bytes, "block_checksums": list(manifest.block_checksums)}
    if _changed(session, RECORD_PACKAGE, made | blocks) != 1:
        raise TransientError(f"Package {manifest.name} was made by somebody else meanwhile.")
    members = {
        "package_id": package_id,
        "ids": [member.raw_data_file_id for member in manifest.members],
        "sizes": [member.size_bytes for member in manifest.members],
        "offsets": [member.offset_bytes for member in manifest.members],
        "checksums": [member.checksum for member in manifest.members],
    }
    if _changed(session, RECORD_MEMBERS, members) != len(manifest.members):
        raise TransientError(f"Files of package {manifest.name} were filed anew while they were packaged.")
    if _changed(session, RECORD_COPY, made | {"path": path, "buffer": buffer}) != 1:
        raise TopologyError(f"ops-db does not know the location {buffer}: run `dts topology apply` first.")


def record_cannot_be_made(session: Session, package_id: int) -> None:
    """A package has failed, if it was not made meanwhile."""
    session.execute(RECORD_FAILURE, {"package_id": package_id})


def _changed(session: Session, statement: Any, values: dict[str, object]) -> int:
    return cast(CursorResult[Any], session.execute(statement, values)).rowcount
