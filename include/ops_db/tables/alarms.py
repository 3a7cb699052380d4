"""What people must know, and what was sent to them about it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from include.alarm_rules import Severity
from include.ops_db.states import NotificationKind
from include.ops_db.tables.base import Base, words


class Alarm(Base):
    """Something that a person should know: raised once, cleared once.

    One that was raised is never deleted, and one that was cleared never changes (triggers hold both).
    """

    __tablename__ = "alarm"
    __table_args__ = (
        Index("uq_alarm_open", "key", unique=True, postgresql_where=text("cleared_at is null")),
        Index("ix_alarm_cleared", "cleared_at"),
        Index(
            "ix_alarm_acknowledged",
            "key",
            postgresql_where=text("acknowledged_at is not null"),
        ),
        CheckConstraint("num_nonnulls(acknowledged_at, acknowledged_by) in (0, 2)", name="acknowledged"),
        CheckConstraint("cleared_at is null or raised_at is not null", name="only_what_was_raised_is_cleared"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    key: Mapped[str]
    """What it is about: the rule and its subject, `lane_stalled:cologne_buffer_transfer`."""
    rule: Mapped[str]
    """Name in the topology, and of its section in the runbook."""
    severity: Mapped[Severity] = mapped_column(words(Severity, "severity"))
    """The highest that it had."""
    site: Mapped[str | None]
    location: Mapped[str | None]
    """Full name. Neither is a foreign key: history outlives the topology."""
    outage: Mapped[str]
    """What it is a part of: alarms with the same word here are told together."""
    sentence: Mapped[str]
    """As it was last judged, with the numbers."""
    since: Mapped[datetime]
    """When it was first seen."""
    raised_at: Mapped[datetime | None]
    """When it had lasted for long enough to be told; unset before."""
    last_seen_at: Mapped[datetime]
    stays_until: Mapped[datetime | None]
    """An event does not last: it stays open until then, unless it is seen again."""
    cleared_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    acknowledge_reason: Mapped[str | None]


class AlarmWatch(Base):
    """When alarms were last judged: one row. Without it silence could mean that nobody looks."""

    __tablename__ = "alarm_watch"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    judged_at: Mapped[datetime | None]
    took_seconds: Mapped[float | None]
    host: Mapped[str | None]


class Notification(Base):
    """A message for a channel, to be delivered at least once. Kept for ninety days after its end."""

    __tablename__ = "notification"
    __table_args__ = (
        Index(
            "ix_notification_due",
            "not_before",
            postgresql_where=text("sent_at is null and given_up_at is null"),
        ),
        Index("ix_notification_outage", "channel", "outage", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    """Channels that can, know by it that a message is the same one again."""
    channel: Mapped[str]
    outage: Mapped[str]
    kind: Mapped[NotificationKind] = mapped_column(words(NotificationKind, "kind"))
    severity: Mapped[Severity] = mapped_column(words(Severity, "severity"))
    message: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    not_before: Mapped[datetime]
    """When it is (next) tried; while somebody sends it, when it would be taken for lost."""
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    last_error: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    given_up_at: Mapped[datetime | None]


class NotificationAlarm(Base):
    """That a channel was told of an alarm, and of its end: each once."""

    __tablename__ = "notification_alarm"

    alarm_id: Mapped[int] = mapped_column(ForeignKey("alarm.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    is_end: Mapped[bool] = mapped_column(primary_key=True)
    severity: Mapped[Severity] = mapped_column(words(Severity, "severity"))
    """As it was told; told again when it became more urgent."""
    notification_id: Mapped[int | None] = mapped_column(ForeignKey("notification.id", ondelete="SET NULL"), index=True)
    """Unset once the message was forgotten."""
