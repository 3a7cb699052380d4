"""How far metrics have got, and what waits for InfluxDB."""

from datetime import datetime

from sqlalchemy import Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.tables.base import Base


class MetricExport(Base):
    """Up to where a stream of points has reached InfluxDB."""

    __tablename__ = "metric_export"

    stream: Mapped[str] = mapped_column(primary_key=True)
    """attempts or links."""
    until_at: Mapped[datetime]
    until_operation: Mapped[int] = mapped_column(server_default=text("0"))
    until_number: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Of attempts: the last one of that moment."""
    exported_at: Mapped[datetime | None]
    """When InfluxDB last took something."""
    failing_since: Mapped[datetime | None]
    last_error: Mapped[str | None]


class MetricSample(Base):
    """How things stood at a moment, until InfluxDB has taken it; at most two weeks."""

    __tablename__ = "metric_sample"

    sampled_at: Mapped[datetime] = mapped_column(primary_key=True)
    lines: Mapped[str]
    """In line protocol."""
