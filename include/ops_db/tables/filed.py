"""What was filed, and the packages it goes into."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.states import (
    FilingState,
    PackageState,
)
from include.ops_db.tables.base import Base, words


class ExecutedObsUnit(Base):
    """An observation as it was carried out; its UUID is made by the instrument."""

    __tablename__ = "executed_obs_unit"
    __table_args__ = (
        Index("ix_executed_obs_unit_flagged", "id", postgresql_where=text("flagged_at is not null")),
        Index("ix_executed_obs_unit_started", "started_at", "id"),
        Index("ix_executed_obs_unit_instrument", "instrument_id", "started_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    instrument_id: Mapped[int] = mapped_column(ForeignKey("instrument.id"))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    """When it ended; unset while more files may come."""
    closed_at: Mapped[datetime | None]
    """Since when the instrument has said that no more files come: what is filed later may add none."""
    flagged_at: Mapped[datetime | None]
    """Since when its packages overtake others on the routes; unset if they do not."""
    flagged_by: Mapped[str | None]
    flag_reason: Mapped[str | None]


class Filing(Base):
    """What an account sent about files of an observation, and the verdict on it."""

    __tablename__ = "filing"
    __table_args__ = (
        Index("ix_filing_state_received_at", "state", "received_at"),
        Index("ix_filing_obs", "executed_obs_unit_id", "id"),
        Index("ix_filing_account", "received_from", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    dag_run_id: Mapped[str] = mapped_column(unique=True)
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    received_from: Mapped[str]
    """The Airflow account."""
    conf: Mapped[dict[str, Any] | list[Any] | None] = mapped_column(JSONB)
    """As received; cut to its first keys when it is refused for its size."""
    content_sha256: Mapped[str | None]
    """Of what came through the API, byte by byte (hex); unset for what came as the conf of a run."""
    has_lines: Mapped[bool] = mapped_column(server_default=text("false"))
    """Its files came as a stream: `conf` is its first line only, and they are in `filed_line` until it is accepted."""
    executed_obs_unit_id: Mapped[UUID | None]
    """As named in the filing; no foreign key, for a refused one may name anything."""
    data_location_id: Mapped[int | None] = mapped_column(ForeignKey("data_location.id"))
    state: Mapped[FilingState] = mapped_column(words(FilingState, "state"), server_default=FilingState.RECEIVED)
    verdict: Mapped[str]
    """One sentence: accepted with what, or refused and why, or what it waits for."""
    decided_at: Mapped[datetime | None]
    file_count: Mapped[int] = mapped_column(Integer, server_default="0")
    size_bytes: Mapped[int] = mapped_column(server_default="0")


class FiledLine(Base):
    """A file of a filing that came as a stream and waits for its verdict, or was refused and not yet corrected."""

    __tablename__ = "filed_line"

    filing_id: Mapped[int] = mapped_column(ForeignKey("filing.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    """1, 2, … in the order in which they came."""
    path: Mapped[str]
    size_bytes: Mapped[int]
    checksum: Mapped[str | None]
    id: Mapped[UUID | None]
    """If the instrument gave one."""


class RawDataPackage(Base):
    """A tar of files of one ExecutedObsUnit and InstrumentModule; its bytes never change once made."""

    __tablename__ = "raw_data_package"
    __table_args__ = (
        UniqueConstraint("executed_obs_unit_id", "instrument_module_id", "number"),
        Index("ix_raw_data_package_state", "state", "id"),
        Index(
            "ix_raw_data_package_at_source",
            "source_location_id",
            "archived_at",
            postgresql_where=text("raw_files_gone_at is null"),
        ),
    )

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
    raw_files_freed_at: Mapped[datetime | None]
    """Since when its raw files may go from the SOURCE, by age or by pressure."""
    raw_files_gone_at: Mapped[datetime | None]
    """Noted some time after the last of them went."""


class RawDataFile(Base):
    """A file as an instrument filed it; with its package it is also the package's member index."""

    __tablename__ = "raw_data_file"
    __table_args__ = (
        UniqueConstraint("executed_obs_unit_id", "path"),
        Index("ix_raw_data_file_place", "data_location_id", "path"),
        Index("ix_raw_data_file_package", "raw_data_package_id", "path"),
        # Backwards: people know the end of a path, and an index the beginning.
        Index(
            "ix_raw_data_file_name",
            literal_column("reverse(path)").label("backwards"),
            postgresql_ops={"backwards": "text_pattern_ops"},
        ),
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
