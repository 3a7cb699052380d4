"""Packages on their way: made by the real packaging, bundled by rows, moved by the real stages, spoilt by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.ops_db.apply import apply_topology
from include.ops_db.places import location_id
from include.ops_db.states import BundleState, CopyStatus
from include.ops_db.tables import (
    DataTransfer,
    DataTransferPackage,
    DataTransferPackageMember,
    Operation,
    PhysicalCopy,
    RawDataPackage,
)
from include.stages import packaging, transfer, unpacking
from include.topology import OperationKind, Route
from tests.observatory import Observatory
from tests.stages.filed import file_observation, packages

ORIGIN, DESTINATION = "ccat_buffer", "cologne_buffer"


def packaged(observatory: Observatory, *, count: int = 1, size: int = 3000) -> list[RawDataPackage]:
    """Packages in the ccat buffer, each of two files of an observation of its own."""
    for _ in range(count):
        name = uuid4().hex
        file_observation(observatory, {f"{name}/a b.g3": name.encode() * (size // 32), f"{name}/empty": b""})
    report = observatory.run(packaging, "ccat_source")
    assert report.failed == []
    return packages(observatory.engine)


def with_routes(observatory: Observatory, *routes: Route) -> None:
    """Apply a topology with these routes."""
    observatory.topology = observatory.topology.model_copy(update={"routes": routes})
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")


def bundled(
    observatory: Observatory,
    bundle: Sequence[RawDataPackage],
    *,
    origin: str = ORIGIN,
    destination: str = DESTINATION,
) -> int:
    """Close a bundle of these packages; return its DataTransfer's id."""
    with Session(observatory.engine) as session, session.begin():
        places = {
            "origin_location_id": location_id(session, origin),
            "destination_location_id": location_id(session, destination),
        }
        moment = datetime.now(UTC)
        made = DataTransferPackage(
            is_primary=True, state=BundleState.CLOSED, closes_at=moment, closed_at=moment, **places
        )
        session.add(made)
        session.flush()
        session.add_all(
            DataTransferPackageMember(data_transfer_package_id=made.id, raw_data_package_id=package.id)
            for package in bundle
        )
        way = DataTransfer(data_transfer_package_id=made.id, **places)
        session.add(way)
        session.flush()
        return way.id


def unpacked(observatory: Observatory, *, count: int = 1, size: int = 3000) -> list[RawDataPackage]:
    """Packages that are verified in the cologne buffer."""
    made = packaged(observatory, count=count, size=size)
    bundled(observatory, made)
    assert observatory.run(transfer, DESTINATION).completed == 1
    assert observatory.run(unpacking, DESTINATION).completed == 1
    return made


def transfer_row(observatory: Observatory, transfer_id: int) -> DataTransfer:
    with Session(observatory.engine) as session:
        return session.get_one(DataTransfer, transfer_id)


def copy_at(observatory: Observatory, package: RawDataPackage, place: str) -> PhysicalCopy | None:
    with Session(observatory.engine) as session:
        return session.scalars(
            select(PhysicalCopy).where(
                PhysicalCopy.raw_data_package_id == package.id,
                PhysicalCopy.data_location_id == location_id(session, place),
            )
        ).one_or_none()


def set_status(observatory: Observatory, copy: PhysicalCopy, status: CopyStatus) -> None:
    with Session(observatory.engine) as session, session.begin():
        session.get_one(PhysicalCopy, copy.id).status = status


def newest(observatory: Observatory, kind: OperationKind) -> Operation:
    return observatory.operations(kind)[-1]


def spoil(observatory: Observatory, package: RawDataPackage, place: str, *, at: int = 700) -> None:
    """Flip a byte of a package's tar."""
    path = observatory.folder(place) / package.path
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
