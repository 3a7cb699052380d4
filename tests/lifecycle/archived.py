"""A package after its whole journey: raw files, tars in three buffers, two archives, two transfers; bytes and rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session

from include.integrity.manifest import PackageManifest
from include.integrity.package import SourceFile, write_package
from include.lifecycle.gate import Allowed, NothingToDelete, Refused, allow_deletion
from include.ops_db.places import applied_topology, location_ids
from include.ops_db.states import BundleState, CopyStatus, FilingState, PackageState, StagingState, WorkStatus
from include.ops_db.tables import (
    DataTransfer,
    DataTransferPackage,
    DataTransferPackageMember,
    DeletionRecord,
    ExecutedObsUnit,
    Filing,
    Instrument,
    InstrumentModule,
    PhysicalCopy,
    RawDataFile,
    RawDataPackage,
    StagingJob,
    StagingJobPackage,
)
from include.storage.disk import DiskStorage
from tests.observatory import Observatory

ARCHIVES = ("cologne_archive", "us_archive")
BUFFERS = ("ccat_buffer", "cologne_buffer", "us_buffer")
STARTED_AT = datetime(2026, 4, 1, 3, 20, tzinfo=UTC)
FILES = {"16123/rfsoc01/a_000.g3": b"first file" * 50, "16123/rfsoc01/a_001.g3": b"second"}

_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Archived:
    """A package that is in both archives, and still everywhere else."""

    observatory: Observatory
    id: int
    name: str
    path: str
    observation: UUID
    files: Mapping[str, bytes]
    content: bytes = field(repr=False)
    manifest: PackageManifest
    instrument: str = "primecam"

    @property
    def staged_folder(self) -> str:
        return f"{self.instrument}/{self.observation}"

    def statuses(self, location: str) -> list[CopyStatus]:
        """Of the raw files' copies at the source, of the package's copy elsewhere; by path."""
        with Session(self.observatory.engine) as session:
            here = location_ids(session)[location]
            raw_files = select(RawDataFile.id).where(RawDataFile.raw_data_package_id == self.id)
            return list(
                session.scalars(
                    select(PhysicalCopy.status)
                    .where(
                        PhysicalCopy.data_location_id == here,
                        PhysicalCopy.raw_data_file_id.in_(raw_files)
                        if location.endswith("source")
                        else PhysicalCopy.raw_data_package_id == self.id,
                    )
                    .order_by(PhysicalCopy.path)
                )
            )

    def change_copy(self, location: str, **values: object) -> None:
        """Write the package's copy at a location as its scrubbing or its stage would, under the package's lock."""
        with Session(self.observatory.engine) as session, session.begin():
            session.execute(text("select from raw_data_package where id = :id for no key update"), {"id": self.id})
            here = location_ids(session)[location]
            session.execute(
                update(PhysicalCopy)
                .where(PhysicalCopy.raw_data_package_id == self.id, PhysicalCopy.data_location_id == here)
                .values(**values)
            )

    def change(self, **values: object) -> None:
        """Write the package's row."""
        with Session(self.observatory.engine) as session, session.begin():
            session.execute(update(RawDataPackage).where(RawDataPackage.id == self.id).values(**values))

    def ask(
        self, location: str, *, at: datetime | None = None, pressure: bool = False
    ) -> Allowed | Refused | NothingToDelete:
        """Ask the gate and commit what it wrote."""
        with Session(self.observatory.engine) as session, session.begin():
            return self.ask_in(session, location, at=at, pressure=pressure)

    def ask_in(
        self, session: Session, location: str, *, at: datetime | None = None, pressure: bool = False
    ) -> Allowed | Refused | NothingToDelete:
        """Ask the gate in a transaction of the test's own."""
        applied = applied_topology(session)
        assert applied is not None
        return allow_deletion(
            session,
            raw_data_package_id=self.id,
            location=self.observatory.topology.location(location),
            topology=self.observatory.topology,
            topology_version_id=applied.version_id,
            operation_id=7,
            run_id="test-run",
            requested_by="tests",
            now=at or datetime.now(UTC),
            pressure=pressure,
        )

    def refusal(self, location: str, *, at: datetime | None = None) -> str:
        """The reason for which the gate refuses."""
        answer = self.ask(location, at=at)
        assert isinstance(answer, Refused), answer
        return answer.reason

    def records(self) -> list[DeletionRecord]:
        with Session(self.observatory.engine, expire_on_commit=False) as session:
            return list(
                session.scalars(
                    select(DeletionRecord)
                    .where(DeletionRecord.raw_data_package_id == self.id)
                    .order_by(DeletionRecord.id)
                )
            )

    def staging_job(self, *, until: datetime, state: StagingState = StagingState.ACTIVE) -> int:
        """A job at cologne_processing, also one that is over already."""
        with Session(self.observatory.engine) as session, session.begin():
            job = StagingJob(
                requested_by="jane",
                data_location_id=location_ids(session)["cologne_processing"],
                until=until,
                state=state,
            )
            session.add(job)
            session.flush()
            session.add(StagingJobPackage(staging_job_id=job.id, raw_data_package_id=self.id))
            return job.id

    def stage(self) -> None:
        """Put its files and its row at cologne_processing, without any job."""
        files = {f"{self.staged_folder}/{path}": content for path, content in self.files.items()}
        self.observatory.put_files(files, location="cologne_processing")
        with Session(self.observatory.engine) as session, session.begin():
            session.add(
                PhysicalCopy(
                    raw_data_package_id=self.id,
                    data_location_id=location_ids(session)["cologne_processing"],
                    path=self.staged_folder,
                    size_bytes=sum(map(len, self.files.values())),
                    status=CopyStatus.STAGED,
                    checksum=self.manifest.checksum,
                    verified_at=datetime.now(UTC),
                )
            )


def archived_package(
    observatory: Observatory,
    files: Mapping[str, bytes] = FILES,
    *,
    observation: UUID | None = None,
    archived_at: datetime | None = None,
) -> Archived:
    """File, package, send and archive the files, without any stage."""
    number = next(_numbers)
    observation_id = observation or uuid4()
    observatory.put_files(dict(files))
    sources = [
        SourceFile(path=path, size_bytes=len(content), checksum=None, raw_data_file_id=uuid4())
        for path, content in files.items()
    ]
    storage = observatory.storages["ccat_source"]
    assert isinstance(storage, DiskStorage)
    stream = write_package(sources, open_file=storage.open, modified_at=int(STARTED_AT.timestamp()))
    content = b"".join(stream)
    name = f"primecam_mod280_{observation_id.hex[:8]}_{number:04d}"
    package = Archived(
        observatory=observatory,
        id=_write_rows(observatory, stream.manifest(name), observation_id, archived_at=archived_at),
        name=name,
        path=_path(name),
        observation=observation_id,
        files=dict(files),
        content=content,
        manifest=stream.manifest(name),
    )
    for location in (*BUFFERS, *ARCHIVES):
        if isinstance(observatory.storages[location], DiskStorage):
            observatory.put_files({package.path: content}, location=location)  # no need for it to outlive a power cut
        else:
            observatory.storages[location].write(package.path, [content])
    # Bytes are there before their rows; here rows came first, so that the rows' times are set after the fact.
    with Session(observatory.engine) as session, session.begin():
        session.execute(
            text("update physical_copy set created_at = clock_timestamp() where raw_data_package_id = :id"),
            {"id": package.id},
        )
    return package


def _path(name: str) -> str:
    return f"primecam/20260401/{name}.tar"


def _write_rows(
    observatory: Observatory, manifest: PackageManifest, observation: UUID, *, archived_at: datetime | None
) -> int:
    now = datetime.now(UTC)
    with Session(observatory.engine) as session, session.begin():
        places = location_ids(session)
        instrument = session.scalars(select(Instrument.id).where(Instrument.name == "primecam")).one()
        module = session.scalars(select(InstrumentModule.id).where(InstrumentModule.name == "mod280")).one()
        if session.get(ExecutedObsUnit, observation) is None:
            unit = ExecutedObsUnit(id=observation, instrument_id=instrument, started_at=STARTED_AT, finished_at=now)
            session.add(unit)
        filing = Filing(dag_run_id=str(uuid4()), received_from="tests", state=FilingState.ACCEPTED, verdict="Accepted.")
        package = RawDataPackage(
            name=manifest.name,
            executed_obs_unit_id=observation,
            instrument_module_id=module,
            source_location_id=places["ccat_source"],
            number=next(_numbers),
            path=_path(manifest.name),
            state=PackageState.ARCHIVED,
            file_count=len(manifest.members),
            content_bytes=sum(member.size_bytes for member in manifest.members),
            size_bytes=manifest.size_bytes,
            checksum=manifest.checksum,
            block_bytes=manifest.block_bytes,
            block_checksums=list(manifest.block_checksums),
            packaged_at=now,
            archived_at=archived_at or now - timedelta(seconds=1),
        )
        session.add_all([filing, package])
        session.flush()
        session.execute(
            insert(RawDataFile),
            [
                {
                    "id": member.raw_data_file_id,
                    "executed_obs_unit_id": observation,
                    "instrument_module_id": module,
                    "data_location_id": places["ccat_source"],
                    "filing_id": filing.id,
                    "path": member.path,
                    "size_bytes": member.size_bytes,
                    "checksum": member.checksum,
                    "raw_data_package_id": package.id,
                    "offset_bytes": member.offset_bytes,
                }
                for member in manifest.members
            ],
        )
        session.execute(
            insert(PhysicalCopy),
            [
                {
                    "raw_data_file_id": member.raw_data_file_id,
                    "data_location_id": places["ccat_source"],
                    "path": member.path,
                    "size_bytes": member.size_bytes,
                }
                for member in manifest.members
            ],
        )
        session.execute(
            insert(PhysicalCopy),
            [
                {
                    "raw_data_package_id": package.id,
                    "data_location_id": places[location],
                    "path": _path(manifest.name),
                    "size_bytes": manifest.size_bytes,
                    "checksum": manifest.checksum,
                    "verified_at": None if location == "ccat_buffer" else now,
                }
                for location in (*BUFFERS, *ARCHIVES)
            ],
        )
        _transfer(session, package.id, places["ccat_buffer"], places["cologne_buffer"], is_primary=True)
        _transfer(session, package.id, places["cologne_buffer"], places["us_buffer"], is_primary=False)
        return package.id


def _transfer(session: Session, package_id: int, origin: int, destination: int, *, is_primary: bool) -> None:
    now = datetime.now(UTC)
    bundle = DataTransferPackage(
        origin_location_id=origin,
        destination_location_id=destination,
        is_primary=is_primary,
        state=BundleState.CLOSED,
        closes_at=now,
        closed_at=now,
    )
    session.add(bundle)
    session.flush()
    session.add(DataTransferPackageMember(data_transfer_package_id=bundle.id, raw_data_package_id=package_id))
    session.add(
        DataTransfer(
            data_transfer_package_id=bundle.id,
            origin_location_id=origin,
            destination_location_id=destination,
            transfer_status=WorkStatus.COMPLETED,
            unpacking_status=WorkStatus.COMPLETED,
            transferred_at=now,
            unpacked_at=now,
        )
    )
