"""What lies where, what is asked for, and what was allowed to go."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.states import CopyStatus, StagingEvent, StagingState
from include.ops_db.tables.base import Base, words


class PhysicalCopy(Base):
    """One copy of a file (at SOURCE) or a package (elsewhere) at one location: intent (`wanted`) apart from fact."""

    __tablename__ = "physical_copy"
    __table_args__ = (
        UniqueConstraint("raw_data_package_id", "data_location_id"),
        UniqueConstraint("raw_data_file_id", "data_location_id"),
        CheckConstraint("num_nonnulls(raw_data_file_id, raw_data_package_id) = 1", name="one_subject"),
        Index("ix_physical_copy_location", "data_location_id", "status"),
        Index(
            "ix_physical_copy_packages",
            "data_location_id",
            "raw_data_package_id",
            postgresql_where=text("raw_data_package_id is not null"),
        ),
        Index(
            "ix_physical_copy_bad",
            "raw_data_package_id",
            postgresql_where=text("raw_data_package_id is not null and status in ('corrupt', 'missing')"),
        ),
        Index(
            "ix_physical_copy_deleted",
            "data_location_id",
            "deleted_at",
            postgresql_where=text("deleted_at is not null"),
        ),
        Index(
            "ix_physical_copy_verified",
            "data_location_id",
            text("coalesce(verified_at, created_at)"),
            postgresql_where=text("raw_data_package_id is not null and status = 'present'"),
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
    __table_args__ = (Index("ix_staging_job_active", "data_location_id", postgresql_where=text("state = 'active'")),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    requested_by: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    until: Mapped[datetime]
    may_wait: Mapped[bool] = mapped_column(server_default=text("false"))
    """Accepted to wait for room, so no room is promised to it."""
    state: Mapped[StagingState] = mapped_column(words(StagingState, "state"), server_default=StagingState.ACTIVE)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StagingJobPackage(Base):
    """A RawDataPackage that a StagingJob asks for."""

    __tablename__ = "staging_job_package"

    staging_job_id: Mapped[int] = mapped_column(ForeignKey("staging_job.id"), primary_key=True)
    raw_data_package_id: Mapped[int] = mapped_column(ForeignKey("raw_data_package.id"), primary_key=True, index=True)


class StagingJobEvent(Base):
    """What a person, or the clock, did to a StagingJob; never changed (a trigger holds it)."""

    __tablename__ = "staging_job_event"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    staging_job_id: Mapped[int] = mapped_column(ForeignKey("staging_job.id"), index=True)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    event: Mapped[StagingEvent] = mapped_column(words(StagingEvent, "event"))
    person: Mapped[str | None]
    """Unset: its date had come."""
    asked_through: Mapped[str] = mapped_column(server_default="")
    """Which command by which account, or which Airflow run."""
    until: Mapped[datetime]
    """As it was from then on."""
    reason: Mapped[str] = mapped_column(server_default="")


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
    copy_rule_override_id: Mapped[int | None] = mapped_column(ForeignKey("copy_rule_override.id"))
    """With which two people put the rule of archive copies aside for it."""
    copy_count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]
    evidence: Mapped[list[Any]] = mapped_column(JSONB)
    """The copies that justified it: location, site, checksum, time of last verification."""
