"""The brake on deletion: what would have been too much at once, and what a person said; and what people asked to go."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.states import BrakeAnswer
from include.ops_db.tables.base import Base, words


class DeletionBrake(Base):
    """A question: may all of this go from here? Its answer is given once, and never changed (a trigger holds it)."""

    __tablename__ = "deletion_brake"
    __table_args__ = (
        # One question at a time: a person who has three before them answers none with care.
        Index("uq_deletion_brake_pending", "data_location_id", unique=True, postgresql_where=text("answer is null")),
        Index("ix_deletion_brake_location", "data_location_id", "answer"),
        CheckConstraint("num_nonnulls(answer, answered_at, answered_by) in (0, 3)", name="answered"),
        CheckConstraint("num_nonnulls(lifted_at, lifted_by) in (0, 2)", name="lifted"),
        CheckConstraint("lifted_at is null or answer = 'refused'", name="only_refusals_are_lifted"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    run_id: Mapped[str | None]
    """The Airflow run of deletion that was stopped; unset if a person asked for this deletion."""
    requested_by: Mapped[str]
    topology_version_id: Mapped[int] = mapped_column(ForeignKey("topology_version.id"))
    policy_sha256: Mapped[str]
    """Of what decides about deletion here; an answer counts as long as that is the same."""
    package_count: Mapped[int] = mapped_column(Integer)
    copy_count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]
    location_bytes: Mapped[int | None]
    """What the share is of; unset where nobody had to know."""
    why: Mapped[str]
    """One sentence with the numbers: which limit it is above."""
    question_run_id: Mapped[str | None]
    """The Airflow run that holds the question in the UI."""
    answer: Mapped[BrakeAnswer | None] = mapped_column(words(BrakeAnswer, "answer"))
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]
    reason: Mapped[str | None]
    lifted_at: Mapped[datetime | None]
    """Since when a refusal is forgotten."""
    lifted_by: Mapped[str | None]
    lift_reason: Mapped[str | None]


class DeletionBrakePackage(Base):
    """A RawDataPackage that a question is about, as it was when it was asked."""

    __tablename__ = "deletion_brake_package"

    deletion_brake_id: Mapped[int] = mapped_column(ForeignKey("deletion_brake.id"), primary_key=True)
    raw_data_package_id: Mapped[int] = mapped_column(ForeignKey("raw_data_package.id"), primary_key=True, index=True)
    copy_count: Mapped[int] = mapped_column(Integer)
    size_bytes: Mapped[int]


class DeletionRequest(Base):
    """A person asked that a package goes from a location, policy or not; the gate still decides."""

    __tablename__ = "deletion_request"
    __table_args__ = (Index("ix_deletion_request_package", "raw_data_package_id", "data_location_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())
    raw_data_package_id: Mapped[int] = mapped_column(ForeignKey("raw_data_package.id"))
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    requested_by: Mapped[str]
    reason: Mapped[str]
