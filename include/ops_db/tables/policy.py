"""What people say beside the policy: pins that keep copies, and overrides of the rule of archive copies.

Rows are never deleted, and what they say is written once (triggers hold both): the history of who kept what, and of who
let it go.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.tables.base import Base

ONE_SUBJECT = "num_nonnulls(raw_data_package_id, executed_obs_unit_id) = 1"


class Pin(Base):
    """A package, or all packages of an observation, must stay: nothing deletes them while it holds."""

    __tablename__ = "pin"
    __table_args__ = (
        CheckConstraint(ONE_SUBJECT, name="one_subject"),
        CheckConstraint("num_nonnulls(released_at, released_by) in (0, 2)", name="released"),
        Index("ix_pin_package", "raw_data_package_id", postgresql_where=text("released_at is null")),
        Index("ix_pin_observation", "executed_obs_unit_id", postgresql_where=text("released_at is null")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    raw_data_package_id: Mapped[int | None] = mapped_column(ForeignKey("raw_data_package.id"))
    executed_obs_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("executed_obs_unit.id"))
    """All its packages, also those that are made later."""
    data_location_id: Mapped[int | None] = mapped_column(ForeignKey("data_location.id"))
    """Unset: everywhere."""
    reason: Mapped[str]
    pinned_by: Mapped[str]
    pinned_at: Mapped[datetime] = mapped_column(server_default=func.now())
    until: Mapped[datetime | None]
    """Unset: until somebody releases it."""
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None]


class CopyRuleOverride(Base):
    """Two people let copies at a location go with fewer archive copies than policy asks for, for some hours."""

    __tablename__ = "copy_rule_override"
    __table_args__ = (
        CheckConstraint(ONE_SUBJECT, name="one_subject"),
        CheckConstraint("num_nonnulls(confirmed_at, confirmed_by) in (0, 2)", name="confirmed"),
        CheckConstraint("confirmed_by <> asked_by", name="two_people"),
        CheckConstraint("confirmed_at < expires_at", name="in_time"),
        Index(
            "ix_copy_rule_override_location",
            "data_location_id",
            "expires_at",
            postgresql_where=text("confirmed_at is not null"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    raw_data_package_id: Mapped[int | None] = mapped_column(ForeignKey("raw_data_package.id"))
    executed_obs_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("executed_obs_unit.id"))
    """The packages that it had when this was asked for."""
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    reason: Mapped[str]
    asked_by: Mapped[str]
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    asked_from: Mapped[str]
    """Account and host at which it was typed, whatever name was given."""
    expires_at: Mapped[datetime]
    """Afterwards it means nothing, confirmed or not."""
    confirmed_by: Mapped[str | None]
    """Somebody else than who asked; unset: it means nothing yet."""
    confirmed_at: Mapped[datetime | None]
    confirmed_from: Mapped[str | None]
