"""Observations that are filed already: files on the disk, rows in ops-db, without going through registration."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.orm import Session

from include.integrity.checksum import checksum_of
from include.ops_db.apply import apply_topology
from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus, FilingState
from include.ops_db.tables import (
    ExecutedObsUnit,
    Filing,
    Instrument,
    InstrumentModule,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
)
from include.storage.disk import DiskStorage
from include.topology import DiskStorage as DiskOf
from include.topology import Topology
from tests.observatory import Observatory

STARTED_AT = datetime(2026, 4, 1, 3, 20, tzinfo=UTC)


def file_observation(
    observatory: Observatory,
    files: Mapping[str, bytes],
    *,
    observation: UUID | None = None,
    instrument: str = "primecam",
    module: str = "mod280",
    source: str = "ccat_source",
    finished: bool = True,
    with_checksums: bool = False,
    filed_ago_seconds: float = 0,
) -> UUID:
    """Write the files and file them, as a further filing where `observation` is filed already."""
    observatory.put_files(dict(files), location=source)
    observation = observation or uuid4()
    filed_at = datetime.now(UTC) - timedelta(seconds=filed_ago_seconds)
    with Session(observatory.engine) as session, session.begin():
        here = location_id(session, source)
        instrument_id = session.scalars(select(Instrument.id).where(Instrument.name == instrument)).one()
        module_id = session.scalars(
            select(InstrumentModule.id).where(
                InstrumentModule.instrument_id == instrument_id, InstrumentModule.name == module
            )
        ).one()
        if session.get(ExecutedObsUnit, observation) is None:
            session.add(ExecutedObsUnit(id=observation, instrument_id=instrument_id, started_at=STARTED_AT))
        filing = Filing(dag_run_id=str(uuid4()), received_from="tests", state=FilingState.ACCEPTED, verdict="Accepted.")
        session.add(filing)
        session.flush()
        rows = [
            {
                "id": uuid4(),
                "executed_obs_unit_id": observation,
                "instrument_module_id": module_id,
                "data_location_id": here,
                "filing_id": filing.id,
                "path": path,
                "size_bytes": len(content),
                "checksum": checksum_of([content]) if with_checksums else None,
                "filed_at": filed_at,
            }
            for path, content in files.items()
        ]
        session.execute(insert(RawDataFile), rows)
        session.execute(
            insert(PhysicalCopy),
            [
                {
                    "raw_data_file_id": row["id"],
                    "data_location_id": here,
                    "path": row["path"],
                    "size_bytes": row["size_bytes"],
                    "status": CopyStatus.PRESENT,
                }
                for row in rows
            ],
        )
    if finished:
        finish_observation(observatory, observation)
    return observation


def finish_observation(observatory: Observatory, observation: UUID) -> None:
    """No further files come."""
    with Session(observatory.engine) as session, session.begin():
        session.execute(
            update(ExecutedObsUnit).where(ExecutedObsUnit.id == observation).values(finished_at=datetime.now(UTC))
        )


def packages(engine: Engine) -> list[RawDataPackage]:
    """All packages, oldest first."""
    with Session(engine) as session:
        return list(session.scalars(select(RawDataPackage).order_by(RawDataPackage.id)))


def files_below(folder: Path) -> list[str]:
    """Everything that is no folder, parts included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def add_location(observatory: Observatory, *, like: str, **changes: object) -> str:
    """Apply a topology with one more DataLocation, which has a folder of its own; return its full name."""
    topology = observatory.topology
    model = topology.location(like)
    folder = observatory.root / "added" / str(changes["name"])
    folder.mkdir(parents=True)
    added = model.model_copy(update={"storage": DiskOf(type="disk", root=str(folder)), **changes})
    changed = topology.model_copy(update={"data_locations": (*topology.data_locations, added)})
    observatory.topology = Topology.model_validate(changed.model_dump())  # a copy would keep the hash of the old one
    observatory.storages[added.full_name] = DiskStorage(folder)
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")
    return added.full_name
