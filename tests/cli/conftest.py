"""`dts` in this process against a real ops-db, with rows of an observing night."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from include.cli import main
from include.ops_db.engine import ops_db_engine
from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus, FilingState, PackageState, WorkStatus
from include.ops_db.tables import (
    ExecutedObsUnit,
    Filing,
    Instrument,
    InstrumentModule,
    Operation,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
)
from include.topology import OperationKind
from tests.observatory import Observatory

STARTED_AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Result:
    """What a command left."""

    code: int
    out: str
    err: str

    def rows(self) -> list[list[str]]:
        """Cells of the lines of a plain table: columns are two spaces apart at least."""
        return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in self.out.splitlines()]


Dts = Callable[..., Result]


@pytest.fixture(autouse=True)
def far_from_any_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A sandbox that happens to run from this checkout is none of a test's business."""
    monkeypatch.setattr("include.cli.place.CLONE", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("DTS_OPS_DB_URL", "DTS_TOPOLOGY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bare_dts(capsys: pytest.CaptureFixture[str]) -> Dts:
    """Run a command with the environment as it is."""

    def run(*arguments: str) -> Result:
        code = main(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def dts(bare_dts: Dts, ops_db_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dts]:
    """Run a command against this test's ops-db."""
    monkeypatch.setenv("DTS_OPS_DB_URL", ops_db_url)
    yield bare_dts
    ops_db_engine(ops_db_url).dispose()


@dataclass(frozen=True)
class Night:
    """An observation of two packages: one archived twice, one whose transfer has not begun."""

    engine: Engine
    observation: UUID
    archived: str
    waiting: str

    def add_operation(
        self,
        kind: OperationKind,
        location: str,
        *,
        package: str,
        status: WorkStatus = WorkStatus.PENDING,
        explanation: str = "It was planned.",
        failure_count: int = 0,
        not_before: datetime | None = None,
    ) -> int:
        """Insert an operation about a package and return its id."""
        with Session(self.engine) as session, session.begin():
            operation = Operation(
                kind=kind,
                data_location_id=location_id(session, location),
                raw_data_package_id=self.package_id(package),
                status=status,
                explanation=explanation,
                failure_count=failure_count,
                not_before=not_before,
            )
            session.add(operation)
            session.flush()
            return operation.id

    def package_id(self, name: str) -> int:
        """Return the id of a package."""
        with Session(self.engine) as session:
            return session.scalars(select(RawDataPackage.id).where(RawDataPackage.name == name)).one()

    def operation(self, operation_id: int) -> Operation:
        """Read an operation."""
        with Session(self.engine) as session:
            return session.get_one(Operation, operation_id)


@pytest.fixture
def night(observatory: Observatory) -> Night:
    """Rows as the stages leave them."""
    observation = uuid4()
    with Session(observatory.engine) as session, session.begin():
        instrument = session.scalars(select(Instrument).where(Instrument.name == "primecam")).one()
        module = session.scalars(select(InstrumentModule).where(InstrumentModule.name == "mod280")).one()
        source = location_id(session, "ccat_source")
        session.add(
            ExecutedObsUnit(
                id=observation,
                instrument_id=instrument.id,
                started_at=STARTED_AT,
                finished_at=STARTED_AT + timedelta(hours=1),
            )
        )
        filing = Filing(
            dag_run_id=f"{observation}.0",
            received_from="primecam",
            conf={},
            executed_obs_unit_id=observation,
            data_location_id=source,
            state=FilingState.ACCEPTED,
            verdict="Accepted: 4 files, 4.0 kB.",
            file_count=4,
        )
        session.add(filing)
        session.flush()
        names = [f"primecam_mod280_20261120T030000_{str(observation)[:8]}_{number:04d}" for number in (1, 2)]
        packages = [
            RawDataPackage(
                name=name,
                executed_obs_unit_id=observation,
                instrument_module_id=module.id,
                source_location_id=source,
                number=number,
                path=f"primecam/20261120/{name}.tar",
                state=state,
                file_count=2,
                content_bytes=2000,
                size_bytes=10_240,
                checksum="xxh3-128:00",
                packaged_at=STARTED_AT,
            )
            for number, name, state in zip((1, 2), names, (PackageState.ARCHIVED, PackageState.WAITING), strict=True)
        ]
        session.add_all(packages)
        session.flush()
        for package in packages:
            _add_files(session, package, filing=filing)
            _add_copy(session, package, "ccat_buffer", verified_at=None)
        for location in ("cologne_archive", "us_archive"):
            _add_copy(session, packages[0], location, verified_at=STARTED_AT)
    return Night(observatory.engine, observation, archived=names[0], waiting=names[1])


def _add_files(session: Session, package: RawDataPackage, *, filing: Filing) -> None:
    for number in (1, 2):
        file = RawDataFile(
            id=uuid4(),
            executed_obs_unit_id=package.executed_obs_unit_id,
            instrument_module_id=package.instrument_module_id,
            data_location_id=package.source_location_id,
            filing_id=filing.id,
            path=f"night/{package.number}/{number}.g3",
            size_bytes=1000,
            raw_data_package_id=package.id,
        )
        session.add(file)
        session.flush()
        session.add(
            PhysicalCopy(
                raw_data_file_id=file.id, data_location_id=package.source_location_id, path=file.path, size_bytes=1000
            )
        )


def _add_copy(session: Session, package: RawDataPackage, location: str, *, verified_at: datetime | None) -> None:
    session.add(
        PhysicalCopy(
            raw_data_package_id=package.id,
            data_location_id=location_id(session, location),
            path=package.path,
            size_bytes=10_240,
            status=CopyStatus.PRESENT,
            checksum=package.checksum,
            verified_at=verified_at,
        )
    )
