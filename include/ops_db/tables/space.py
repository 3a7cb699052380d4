"""How full locations are, and what was made of it."""

from datetime import datetime

from sqlalchemy import ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.states import Condition
from include.ops_db.tables.base import Base, words


class LocationMeasurement(Base):
    """What one of its own hosts saw of a location; kept for two weeks. Sizes in bytes."""

    __tablename__ = "location_measurement"

    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"), primary_key=True)
    measured_at: Mapped[datetime] = mapped_column(primary_key=True, server_default=text("clock_timestamp()"))
    host: Mapped[str]
    total_bytes: Mapped[int | None]
    """What we may fill, without what is kept for root; unset where nobody knows (S3), or it was not reached."""
    used_bytes: Mapped[int | None]
    """Other people's files included; on S3 what the catalogue says. Unset if it was not reached."""
    is_read_only: Mapped[bool] = mapped_column(server_default=text("false"))
    trouble: Mapped[str | None]
    """Why it was not reached; unset if it was."""
    stored_bytes: Mapped[int]
    """Ours, by the catalogue."""
    stored_copies: Mapped[int]
    clock_ahead_seconds: Mapped[float | None]
    """How far the host's clock was ahead of that of ops-db, as it seems there: the way to it is taken off."""
    counted_at: Mapped[datetime]
    """When the catalogue was asked: it is not counted anew every minute."""


class LocationChange(Base):
    """A location got well or unwell; the newest one counts. Kept for ever: there are few."""

    __tablename__ = "location_change"
    __table_args__ = (Index("ix_location_change_location", "data_location_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    changed_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    condition: Mapped[Condition] = mapped_column(words(Condition, "condition"))
    why: Mapped[str]
    """A sentence, with the numbers."""
