"""What is to be done, and every try at it."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.states import (
    AttemptOutcome,
    WorkStatus,
)
from include.ops_db.tables.base import Base, words
from include.topology import OperationKind

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
        Index(
            "ix_operation_completed",
            "data_location_id",
            "kind",
            "finished_at",
            postgresql_where=text("status = 'completed'"),
        ),
        Index("ix_operation_package", "raw_data_package_id"),
        Index("ix_operation_transfer", "data_transfer_id"),
        Index("ix_operation_copy", "physical_copy_id", postgresql_where=text("physical_copy_id is not null")),
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


class OperationHistory(Base):
    """Operations that were over for a while, as they were; partitioned by month. `operation_ever` shows both tables."""

    __tablename__ = "operation_history"
    __table_args__ = (
        Index("ix_operation_history_package", "raw_data_package_id"),
        Index("ix_operation_history_transfer", "data_transfer_id"),
        Index("ix_operation_history_bundle", "data_transfer_package_id"),
        Index("ix_operation_history_copy", "physical_copy_id"),
        {"postgresql_partition_by": "RANGE (finished_at)"},
    )

    # No foreign keys and no checks: nothing is written here but by moving a row that had them.
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    data_location_id: Mapped[int]
    filing_id: Mapped[int | None]
    raw_data_package_id: Mapped[int | None]
    data_transfer_package_id: Mapped[int | None]
    data_transfer_id: Mapped[int | None]
    physical_copy_id: Mapped[int | None]
    status: Mapped[str]
    priority: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]
    not_before: Mapped[datetime | None]
    planned_run_id: Mapped[str | None]
    planned_batch: Mapped[int | None] = mapped_column(Integer)
    scheduled_at: Mapped[datetime | None]
    attempt_count: Mapped[int] = mapped_column(Integer)
    failure_count: Mapped[int] = mapped_column(Integer)
    lease_token: Mapped[int]
    lease_owner: Mapped[str | None]
    lease_try: Mapped[int | None] = mapped_column(Integer)
    lease_expires_at: Mapped[datetime | None]
    explanation: Mapped[str]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime] = mapped_column(primary_key=True)


class OperationAttempt(Base):
    """One try at an Operation. Rows are added and closed once, never changed after; partitioned by month."""

    __tablename__ = "operation_attempt"
    __table_args__ = (
        Index("ix_operation_attempt_operation", "operation_id", "number"),
        Index("ix_operation_attempt_run", "run_id"),
        # Attempts end about in the order in which they lie: a range of pages is enough, and costs their end nothing.
        Index(
            "ix_operation_attempt_finished",
            "finished_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 16, "autosummarize": True},
        ),
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
