"""The tables of ops-db. Times are UTC, sizes bigint bytes, checksums text with their algorithm (`xxh3-128:…`).

Lock order everywhere: raw_data_package, then physical_copy by id, then operation.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from include.ops_db.states import (
    AttemptOutcome,
    BundleState,
    CopyStatus,
    FilingState,
    PackageState,
    StagingState,
    WorkStatus,
)
from include.topology import LocationType, OperationKind


class Base(DeclarativeBase):
    """Plain names for constraints, so that migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: DateTime(timezone=True), str: Text, int: BigInteger}  # noqa: RUF012 - SQLAlchemy's own form


def words(states: type[StrEnum], name: str) -> Enum:
    """Return a column type that stores a StrEnum's values as text, held by a CHECK."""
    return Enum(
        states,
        native_enum=False,
        create_constraint=True,
        length=30,
        name=name,
        values_callable=lambda members: [member.value for member in members],
    )


class Site(Base):
    """A place with a network."""

    __tablename__ = "site"

    short_name: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    location: Mapped[str]


class DataLocation(Base):
    """Storage at a site. Rows are never deleted: history refers to them."""

    __tablename__ = "data_location"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    full_name: Mapped[str] = mapped_column(unique=True)
    site: Mapped[str] = mapped_column(ForeignKey("site.short_name"))
    location_type: Mapped[LocationType] = mapped_column(words(LocationType, "location_type"))
    storage_type: Mapped[str]
    priority: Mapped[int] = mapped_column(Integer)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    """False once it left the topology."""


class TopologyVersion(Base):
    """Every topology, policy included, that was ever applied; the newest one counts."""

    __tablename__ = "topology_version"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    sha256: Mapped[str]
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    applied_at: Mapped[datetime] = mapped_column(server_default=func.now())
    applied_by: Mapped[str]


class Instrument(Base):
    """Something that files data."""

    __tablename__ = "instrument"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class InstrumentModule(Base):
    """A part of an instrument with data of its own."""

    __tablename__ = "instrument_module"
    __table_args__ = (UniqueConstraint("instrument_id", "name"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    instrument_id: Mapped[int] = mapped_column(ForeignKey("instrument.id"))
    name: Mapped[str]


class ExecutedObsUnit(Base):
    """An observation as it was carried out; its UUID is made by the instrument."""

    __tablename__ = "executed_obs_unit"
    __table_args__ = (Index("ix_executed_obs_unit_flagged", "id", postgresql_where=text("flagged_at is not null")),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instrument_id: Mapped[int] = mapped_column(ForeignKey("instrument.id"))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    """When it ended; unset while more files may come."""
    flagged_at: Mapped[datetime | None]
    """Since when its packages overtake others on the routes; unset if they do not."""
    flagged_by: Mapped[str | None]
    flag_reason: Mapped[str | None]


class Filing(Base):
    """What an account sent about files of an observation, and the verdict on it."""

    __tablename__ = "filing"
    __table_args__ = (
        Index("ix_filing_state_received_at", "state", "received_at"),
        Index("ix_filing_obs", "executed_obs_unit_id"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    dag_run_id: Mapped[str] = mapped_column(unique=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    received_from: Mapped[str]
    """The Airflow account."""
    conf: Mapped[dict[str, Any] | list[Any] | None] = mapped_column(JSONB)
    """As received; cut to its first keys when it is refused for its size."""
    executed_obs_unit_id: Mapped[UUID | None]
    """As named in the filing; no foreign key, for a refused one may name anything."""
    data_location_id: Mapped[int | None] = mapped_column(ForeignKey("data_location.id"))
    state: Mapped[FilingState] = mapped_column(words(FilingState, "state"), server_default=FilingState.RECEIVED)
    verdict: Mapped[str]
    """One sentence: accepted with what, or refused and why, or what it waits for."""
    decided_at: Mapped[datetime | None]
    file_count: Mapped[int] = mapped_column(Integer, server_default="0")
    size_bytes: Mapped[int] = mapped_column(server_default="0")


class RawDataPackage(Base):
    """A tar of files of one ExecutedObsUnit and InstrumentModule; its bytes never change once made."""

    __tablename__ = "raw_data_package"
    __table_args__ = (UniqueConstraint("executed_obs_unit_id", "instrument_module_id", "number"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    executed_obs_unit_id: Mapped[UUID] = mapped_column(ForeignKey("executed_obs_unit.id"))
    instrument_module_id: Mapped[int] = mapped_column(ForeignKey("instrument_module.id"))
    source_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"), index=True)
    """The SOURCE location its files come from."""
    number: Mapped[int] = mapped_column(Integer)
    """1, 2, … within the observation and module."""
    path: Mapped[str]
    """Path of the tar in any buffer, and its key in any archive."""
    state: Mapped[PackageState] = mapped_column(words(PackageState, "state"), server_default=PackageState.WAITING)
    file_count: Mapped[int] = mapped_column(Integer)
    content_bytes: Mapped[int]
    """Sum of its files' sizes."""
    size_bytes: Mapped[int | None]
    """Size of the tar; this and the checksums are unset until it is made."""
    checksum: Mapped[str | None]
    block_bytes: Mapped[int | None]
    block_checksums: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    packaged_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]


class RawDataFile(Base):
    """A file as an instrument filed it; with its package it is also the package's member index."""

    __tablename__ = "raw_data_file"
    __table_args__ = (
        UniqueConstraint("executed_obs_unit_id", "path"),
        Index("ix_raw_data_file_place", "data_location_id", "path"),
        Index("ix_raw_data_file_package", "raw_data_package_id", "path"),
        Index(
            "ix_raw_data_file_unpackaged",
            "data_location_id",
            "executed_obs_unit_id",
            "instrument_module_id",
            postgresql_where=text("raw_data_package_id is null"),
        ),
        CheckConstraint("size_bytes >= 0", name="size"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    executed_obs_unit_id: Mapped[UUID] = mapped_column(ForeignKey("executed_obs_unit.id"))
    instrument_module_id: Mapped[int] = mapped_column(ForeignKey("instrument_module.id"))
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    """The SOURCE location it was filed at."""
    filing_id: Mapped[int] = mapped_column(ForeignKey("filing.id"), index=True)
    path: Mapped[str]
    """Relative to the location's root, POSIX."""
    size_bytes: Mapped[int]
    checksum: Mapped[str | None]
    """As filed by the instrument, else as computed in the packaging pass."""
    filed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    raw_data_package_id: Mapped[int | None] = mapped_column(ForeignKey("raw_data_package.id"))
    offset_bytes: Mapped[int | None]
    """Where its content starts in the package's tar."""


class DataTransferPackage(Base):
    """RawDataPackages gathered for one destination: a list, not a tar of tars."""

    __tablename__ = "data_transfer_package"
    __table_args__ = (
        Index(
            "uq_data_transfer_package_open",
            "origin_location_id",
            "destination_location_id",
            "is_urgent",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    origin_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    destination_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    is_primary: Mapped[bool]
    """True for the one transfer out of the observatory, false for copies among archives."""
    is_urgent: Mapped[bool] = mapped_column(server_default=text("false"))
    """Made for packages that overtake others: it does not wait to be filled."""
    state: Mapped[BundleState] = mapped_column(words(BundleState, "state"), server_default=BundleState.OPEN)
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closes_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class DataTransferPackageMember(Base):
    """A RawDataPackage in a DataTransferPackage."""

    __tablename__ = "data_transfer_package_member"

    data_transfer_package_id: Mapped[int] = mapped_column(ForeignKey("data_transfer_package.id"), primary_key=True)
    raw_data_package_id: Mapped[int] = mapped_column(ForeignKey("raw_data_package.id"), primary_key=True, index=True)
    frame_bytes: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    """How long the package's blocks are in its compressed twin at the origin; null: it goes as it is."""


class DataTransfer(Base):
    """The move of a DataTransferPackage; transfer and unpacking are recorded apart."""

    __tablename__ = "data_transfer"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    data_transfer_package_id: Mapped[int] = mapped_column(ForeignKey("data_transfer_package.id"), unique=True)
    origin_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    destination_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    transfer_status: Mapped[WorkStatus] = mapped_column(
        words(WorkStatus, "transfer_status"), server_default=WorkStatus.PENDING
    )
    unpacking_status: Mapped[WorkStatus] = mapped_column(
        words(WorkStatus, "unpacking_status"), server_default=WorkStatus.PENDING
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    transferred_at: Mapped[datetime | None]
    unpacked_at: Mapped[datetime | None]


class DataTransferRoute(Base):
    """What all transfers between two locations share, in whatever process or on whatever host they run."""

    __tablename__ = "data_transfer_route"
    __table_args__ = (UniqueConstraint("origin_location_id", "destination_location_id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    origin_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    destination_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    streams: Mapped[int | None] = mapped_column(Integer)
    """How many connections the last transfer ended with; the next one begins with as many."""
    promised_until: Mapped[datetime] = mapped_column(server_default=func.now())
    """Until when what the timetable allows is promised to some transfer; who asks next may send from then on."""


class TransferDecision(Base):
    """How many connections a transfer used from then on, and why."""

    __tablename__ = "transfer_decision"
    __table_args__ = (Index("ix_transfer_decision_route", "data_transfer_route_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    data_transfer_route_id: Mapped[int] = mapped_column(ForeignKey("data_transfer_route.id"))
    operation_id: Mapped[int]
    """No foreign key: decisions outlive the operation's row."""
    decided_at: Mapped[datetime] = mapped_column(server_default=func.now())
    streams: Mapped[int] = mapped_column(Integer)
    why: Mapped[str]


class SpaceReservation(Base):
    """Bytes that a running operation has yet to write at a location.

    It counts as long as its operation is in progress under the same lease: one that dies releases it with its lease.
    """

    __tablename__ = "space_reservation"
    __table_args__ = (
        CheckConstraint("size_bytes >= 0", name="size"),
        Index("ix_space_reservation_location", "data_location_id"),
    )

    operation_id: Mapped[int] = mapped_column(ForeignKey("operation.id"), primary_key=True)
    lease_token: Mapped[int]
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    size_bytes: Mapped[int]
    reserved_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PhysicalCopy(Base):
    """One copy of a file (at SOURCE) or a package (elsewhere) at one location: intent (`wanted`) apart from fact."""

    __tablename__ = "physical_copy"
    __table_args__ = (
        UniqueConstraint("raw_data_package_id", "data_location_id"),
        UniqueConstraint("raw_data_file_id", "data_location_id"),
        CheckConstraint("num_nonnulls(raw_data_file_id, raw_data_package_id) = 1", name="one_subject"),
        Index("ix_physical_copy_location", "data_location_id", "status"),
        Index(
            "ix_physical_copy_bad",
            "raw_data_package_id",
            postgresql_where=text("raw_data_package_id is not null and status in ('corrupt', 'missing')"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    raw_data_file_id: Mapped[UUID | None] = mapped_column(ForeignKey("raw_data_file.id"))
    raw_data_package_id: Mapped[int | None] = mapped_column(ForeignKey("raw_data_package.id"))
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    path: Mapped[str]
    """Relative to the location's root (a staged package: the folder that holds its files)."""
    size_bytes: Mapped[int]
    status: Mapped[CopyStatus] = mapped_column(words(CopyStatus, "status"), server_default=CopyStatus.PRESENT)
    wanted: Mapped[bool] = mapped_column(server_default=text("true"))
    checksum: Mapped[str | None]
    """What was computed from these bytes when they were last verified."""
    verified_at: Mapped[datetime | None]
    """When; unset if these bytes were never checked where they lie."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]


class StagingJob(Base):
    """A request to have packages at a PROCESSING location until a date."""

    __tablename__ = "staging_job"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    requested_by: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    until: Mapped[datetime]
    state: Mapped[StagingState] = mapped_column(words(StagingState, "state"), server_default=StagingState.ACTIVE)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StagingJobPackage(Base):
    """A RawDataPackage that a StagingJob asks for."""

    __tablename__ = "staging_job_package"

    staging_job_id: Mapped[int] = mapped_column(ForeignKey("staging_job.id"), primary_key=True)
    raw_data_package_id: Mapped[int] = mapped_column(ForeignKey("raw_data_package.id"), primary_key=True, index=True)


SUBJECT_OF_KIND = """
case kind
  when 'registration' then filing_id
  when 'bundling' then data_transfer_package_id
  when 'transfer' then data_transfer_id
  when 'unpacking' then data_transfer_id
  when 'scrubbing' then physical_copy_id
  else raw_data_package_id
end is not null
and num_nonnulls(filing_id, raw_data_package_id, data_transfer_package_id, data_transfer_id, physical_copy_id) = 1
"""


class Operation(Base):
    """Do this kind of thing to this subject at this DataLocation."""

    __tablename__ = "operation"
    __table_args__ = (
        CheckConstraint(SUBJECT_OF_KIND, name="subject_fits_kind"),
        Index(
            "uq_operation_live",
            "kind",
            "data_location_id",
            "filing_id",
            "raw_data_package_id",
            "data_transfer_package_id",
            "data_transfer_id",
            "physical_copy_id",
            unique=True,
            # NULLS NOT DISTINCT: a plain unique index lets duplicates in. A failed operation keeps its row in it, so
            # that nothing plans it anew for ever.
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("status not in ('completed', 'cancelled')"),
        ),
        Index(
            "ix_operation_due",
            "data_location_id",
            "kind",
            text("priority desc"),
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_operation_again",
            "data_location_id",
            "kind",
            "not_before",
            postgresql_where=text("status = 'pending' and not_before is not null"),
        ),
        Index(
            "ix_operation_live_lane",
            "data_location_id",
            "kind",
            "status",
            postgresql_where=text("status in ('scheduled', 'in_progress', 'failed')"),
        ),
        Index("ix_operation_package", "raw_data_package_id"),
        Index("ix_operation_transfer", "data_transfer_id"),
        # No index on lease columns and room on the page: else no renewal is a HOT update.
        {"postgresql_with": {"fillfactor": 70}},
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    kind: Mapped[OperationKind] = mapped_column(words(OperationKind, "kind"))
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    """Where it must run."""
    filing_id: Mapped[int | None] = mapped_column(ForeignKey("filing.id"))
    raw_data_package_id: Mapped[int | None] = mapped_column(ForeignKey("raw_data_package.id"))
    data_transfer_package_id: Mapped[int | None] = mapped_column(ForeignKey("data_transfer_package.id"))
    data_transfer_id: Mapped[int | None] = mapped_column(ForeignKey("data_transfer.id"))
    physical_copy_id: Mapped[int | None] = mapped_column(ForeignKey("physical_copy.id"))
    status: Mapped[WorkStatus] = mapped_column(words(WorkStatus, "status"), server_default=WorkStatus.PENDING)
    priority: Mapped[int] = mapped_column(Integer, server_default="0")
    """Higher first."""
    size_bytes: Mapped[int] = mapped_column(server_default="0")
    """How much it has to move or read; sizes the batches."""
    not_before: Mapped[datetime | None]
    planned_run_id: Mapped[str | None]
    """The DAG run that has it in a batch."""
    planned_batch: Mapped[int | None] = mapped_column(Integer)
    scheduled_at: Mapped[datetime | None]
    attempt_count: Mapped[int] = mapped_column(Integer, server_default="0")
    failure_count: Mapped[int] = mapped_column(Integer, server_default="0")
    """Transient failures since it last made progress or was reset."""
    lease_token: Mapped[int] = mapped_column(server_default="0")
    lease_owner: Mapped[str | None]
    """Task instance: dag/run/task/map index."""
    lease_try: Mapped[int | None] = mapped_column(Integer)
    lease_expires_at: Mapped[datetime | None]
    explanation: Mapped[str]
    """One sentence: why it is where it is, and what comes next."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class OperationAttempt(Base):
    """One try at an Operation. Rows are added and closed once, never changed after; partitioned by month."""

    __tablename__ = "operation_attempt"
    __table_args__ = (
        Index("ix_operation_attempt_operation", "operation_id", "number"),
        {"postgresql_partition_by": "RANGE (started_at)"},
    )

    operation_id: Mapped[int] = mapped_column(primary_key=True)
    """No foreign key: attempts outlive the operation's row."""
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_at: Mapped[datetime] = mapped_column(primary_key=True)
    finished_at: Mapped[datetime | None]
    outcome: Mapped[AttemptOutcome | None] = mapped_column(words(AttemptOutcome, "outcome"))
    """Unset while it runs."""
    host: Mapped[str | None]
    pid: Mapped[int | None] = mapped_column(Integer)
    worker_pid: Mapped[int | None] = mapped_column(Integer)
    queue: Mapped[str | None]
    """The queue that the worker took it from, as the worker itself reports it."""
    dag_id: Mapped[str | None]
    run_id: Mapped[str | None]
    task_id: Mapped[str | None]
    map_index: Mapped[int | None] = mapped_column(Integer)
    try_number: Mapped[int | None] = mapped_column(Integer)
    person: Mapped[str | None]
    """Who reset it."""
    error_class: Mapped[str | None]
    error_text: Mapped[str | None]
    size_bytes: Mapped[int] = mapped_column(server_default="0")
    """Bytes moved or read."""
    explanation: Mapped[str | None]


class DeletionRecord(Base):
    """Why a copy was allowed to go: written before a byte goes, never changed (a trigger holds it)."""

    __tablename__ = "deletion_record"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    raw_data_package_id: Mapped[int] = mapped_column(ForeignKey("raw_data_package.id"), index=True)
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    operation_id: Mapped[int]
    run_id: Mapped[str | None]
    """The Airflow run."""
    requested_by: Mapped[str]
    reason: Mapped[str]
    topology_version_id: Mapped[int] = mapped_column(ForeignKey("topology_version.id"))
    """Which policy allowed it."""
    copy_count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]
    evidence: Mapped[list[Any]] = mapped_column(JSONB)
    """The copies that justified it: location, site, checksum, time of last verification."""
