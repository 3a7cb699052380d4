"""What became of a package's copy at a location. The caller has locked the package before (lifecycle.package_lock)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from include.errors import TransientError
from include.ops_db.states import CopyStatus

# A copy that a deletion is at work on is not brought back to life behind its back.
RECORD_VERIFIED = text(
    """
    insert into physical_copy
      (raw_data_package_id, data_location_id, path, size_bytes, status, checksum, verified_at)
    select verified.id, :here, verified.path, verified.size_bytes, 'present', verified.checksum, now()
    from unnest(cast(:ids as bigint[]), cast(:paths as text[]), cast(:sizes as bigint[]), cast(:checksums as text[]))
      as verified(id, path, size_bytes, checksum)
    order by verified.id
    on conflict (raw_data_package_id, data_location_id) do update set
      path = excluded.path, size_bytes = excluded.size_bytes, status = 'present', checksum = excluded.checksum,
      verified_at = excluded.verified_at, deleted_at = null,
      wanted = physical_copy.wanted or physical_copy.status = 'deleted'
    where physical_copy.status in ('present', 'corrupt', 'missing', 'deleted')
    """
)

RECORD_LOSS = text(
    """
    update physical_copy set status = :status
    where raw_data_package_id = any(:ids) and data_location_id = :here and status = 'present'
    """
)

RECORD_PUT_ASIDE = text(
    """
    update physical_copy set status = 'missing'
    where raw_data_package_id = any(:ids) and data_location_id = :here and status = 'corrupt'
    """
)


@dataclass(frozen=True, kw_only=True)
class VerifiedCopy:
    """Bytes of a package that were read where they lie, and are right."""

    raw_data_package_id: int
    path: str
    size_bytes: int
    checksum: str


def record_verified(session: Session, copies: Sequence[VerifiedCopy], *, data_location_id: int) -> None:
    """Make them present and verified now.

    Raises:
        TransientError: one of them is being deleted at this moment; nothing may be recorded.
    """
    if not copies:
        return
    values = {
        "here": data_location_id,
        "ids": [copy.raw_data_package_id for copy in copies],
        "paths": [copy.path for copy in copies],
        "sizes": [copy.size_bytes for copy in copies],
        "checksums": [copy.checksum for copy in copies],
    }
    recorded = cast("CursorResult[Any]", session.execute(RECORD_VERIFIED, values))
    if recorded.rowcount != len(copies):
        raise TransientError("A copy is being deleted at the very place where it was just verified.")


def record_loss(
    session: Session, raw_data_package_ids: Collection[int], *, data_location_id: int, status: CopyStatus
) -> None:
    """Make copies that are thought to be present corrupt or missing; others stay as they are."""
    values = {"here": data_location_id, "ids": sorted(raw_data_package_ids), "status": status}
    session.execute(RECORD_LOSS, values)


def record_put_aside(session: Session, raw_data_package_ids: Collection[int], *, data_location_id: int) -> None:
    """Make corrupt copies missing: their bytes are in quarantine now, and a good copy may take their place."""
    session.execute(RECORD_PUT_ASIDE, {"here": data_location_id, "ids": sorted(raw_data_package_ids)})
