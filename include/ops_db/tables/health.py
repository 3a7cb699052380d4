"""What worker hosts say of themselves."""

from datetime import datetime

from sqlalchemy import Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.tables.base import Base


class HostHeartbeat(Base):
    """The last heartbeat of a worker host: one row each, written by its worker every 20 seconds."""

    __tablename__ = "host_heartbeat"
    # One row a host, written over and over: room on the page keeps it there.
    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)

    host: Mapped[str] = mapped_column(primary_key=True)
    beaten_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    """By the clock of ops-db."""
    started_at: Mapped[datetime]
    """When its worker was started."""
    stopped_at: Mapped[datetime | None]
    """When its worker was stopped in good order; unset while it runs, and if it died."""
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str]
    """Of our code."""
    topology_sha256: Mapped[str]
    """Of the topology file that it reads."""
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Which its worker listens to."""
    clock_ahead_seconds: Mapped[float]
    """How far its clock was ahead of that of ops-db; the way to it is taken off."""
    total_bytes: Mapped[int | None]
    """Of the disk where it works: logs, temporary files."""
    free_bytes: Mapped[int | None]
    unreached: Mapped[dict[str, str]] = mapped_column(JSONB)
    """Which of the folders that it should reach it does not, and why, by full name of the location."""
