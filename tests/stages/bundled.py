"""What tests of bundling begin with: packages in buffers, and transfers that have ended."""

from datetime import UTC, datetime
from itertools import count

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from include.operations.batch import BatchReport
from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.ops_db.tables import (
    DataLocation,
    DataTransfer,
    DataTransferPackage,
    DataTransferPackageMember,
    ExecutedObsUnit,
    InstrumentModule,
    PhysicalCopy,
    RawDataPackage,
)
from include.stages import bundling
from tests.observatory import Observatory, new_observation
from tests.stages.filed import STARTED_AT

CCAT, COLOGNE, US = "ccat_buffer", "cologne_buffer", "us_buffer"
_numbers = count(1)


def add_package(observatory: Observatory, *, size: int = 10, buffer: str = CCAT, source: str = "ccat_source") -> int:
    """A package of an observation of its own, made and present in a buffer."""
    with Session(observatory.engine) as session, session.begin():
        module = session.scalars(select(InstrumentModule).order_by(InstrumentModule.id)).first()
        assert module is not None
        observation = new_observation()
        session.add(ExecutedObsUnit(id=observation, instrument_id=module.instrument_id, started_at=STARTED_AT))
        session.flush()
        name = f"package-{next(_numbers)}"
        package = RawDataPackage(
            name=name,
            executed_obs_unit_id=observation,
            instrument_module_id=module.id,
            source_location_id=location_id(session, source),
            number=1,
            path=f"{name}.tar",
            file_count=1,
            content_bytes=size,
            size_bytes=size,
            packaged_at=datetime.now(UTC),
        )
        session.add(package)
        session.flush()
        package_id = package.id
    add_copy(observatory, package_id, buffer, verified=False)
    return package_id


def add_copy(
    observatory: Observatory, package_id: int, location: str, *, verified: bool = True, status: str = CopyStatus.PRESENT
) -> None:
    with Session(observatory.engine) as session, session.begin():
        package = session.get_one(RawDataPackage, package_id)
        session.add(
            PhysicalCopy(
                raw_data_package_id=package_id,
                data_location_id=location_id(session, location),
                path=package.path,
                size_bytes=package.size_bytes or 0,
                status=CopyStatus(status),
                verified_at=datetime.now(UTC) if verified else None,
            )
        )


def bundles(observatory: Observatory) -> list[tuple[str, str, list[int]]]:
    """Destination, state and packages of every bundle, in the order in which they were opened."""
    with Session(observatory.engine) as session:
        rows = session.execute(
            select(DataTransferPackage, DataLocation.full_name)
            .join(DataLocation, DataLocation.id == DataTransferPackage.destination_location_id)
            .order_by(DataTransferPackage.id)
        ).all()
        return [(full_name, str(bundle.state), members_of(session, bundle.id)) for bundle, full_name in rows]


def members_of(session: Session, bundle_id: int) -> list[int]:
    member = DataTransferPackageMember
    return list(
        session.scalars(
            select(member.raw_data_package_id)
            .where(member.data_transfer_package_id == bundle_id)
            .order_by(member.raw_data_package_id)
        )
    )


def transfers(observatory: Observatory) -> list[DataTransfer]:
    with Session(observatory.engine) as session:
        return list(session.scalars(select(DataTransfer).order_by(DataTransfer.id)))


def bundle_at(observatory: Observatory, *places: str) -> BatchReport:
    report = BatchReport()
    for place in places or (CCAT,):
        report.completed += observatory.run(bundling, place).completed
    return report


def settle_transfers(
    observatory: Observatory,
    *,
    transfer: WorkStatus = WorkStatus.COMPLETED,
    unpacking: WorkStatus = WorkStatus.COMPLETED,
) -> None:
    """What transfer and unpacking write: statuses, and verified copies where it arrived."""
    with observatory.engine.begin() as connection:
        values = {"transfer": transfer, "unpacking": unpacking}
        settled = connection.execute(
            text(
                "update data_transfer set transfer_status = :transfer, unpacking_status = :unpacking"
                " where transfer_status = 'pending' returning data_transfer_package_id"
            ),
            values,
        )
        ids = [row.data_transfer_package_id for row in settled]
        if unpacking is WorkStatus.COMPLETED:
            connection.execute(
                text(
                    "insert into physical_copy"
                    " (raw_data_package_id, data_location_id, path, size_bytes, status, verified_at)"
                    " select p.id, b.destination_location_id, p.path, p.size_bytes, 'present', now()"
                    " from data_transfer_package b"
                    " join data_transfer_package_member m on m.data_transfer_package_id = b.id"
                    " join raw_data_package p on p.id = m.raw_data_package_id where b.id = any(:ids)"
                ),
                {"ids": ids},
            )


def archive(observatory: Observatory, package_id: int, location: str, *, status: str = CopyStatus.PRESENT) -> None:
    add_copy(observatory, package_id, location, status=status)
    with observatory.engine.begin() as connection:
        connection.execute(
            text("update raw_data_package set state = 'archived', archived_at = now() where id = :id"),
            {"id": package_id},
        )


def state_of(observatory: Observatory, package_id: int) -> PackageState:
    with Session(observatory.engine) as session:
        return session.get_one(RawDataPackage, package_id).state


def sent_to_cologne(observatory: Observatory) -> int:
    """A package that came to Cologne by the primary transfer."""
    package = add_package(observatory)
    bundle_at(observatory)
    settle_transfers(observatory)
    return package
