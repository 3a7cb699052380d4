"""Alarms, and the messages about them; hosts' clocks; when a lane last completed something."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)

# What was raised stays. An alarm that was cleared never changes, but that a person may still say that he saw it.
KEEP_ALARM = """
create function keep_alarm() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if old.raised_at is not null then
      raise exception 'alarm % was raised: it is never deleted', old.id;
    end if;
    return old;
  end if;
  if (new.key, new.rule, new.since) is distinct from (old.key, old.rule, old.since)
    or old.raised_at is not null and new.raised_at is distinct from old.raised_at
    or old.acknowledged_at is not null
      and (new.acknowledged_at, new.acknowledged_by, new.acknowledge_reason)
        is distinct from (old.acknowledged_at, old.acknowledged_by, old.acknowledge_reason)
    or old.cleared_at is not null
      and (to_jsonb(new) - array['acknowledged_at', 'acknowledged_by', 'acknowledge_reason'])
        <> (to_jsonb(old) - array['acknowledged_at', 'acknowledged_by', 'acknowledge_reason'])
  then
    raise exception 'what alarm % said is never changed', old.id;
  end if;
  return new;
end $$
"""


def _words(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=30)


def upgrade() -> None:
    op.create_table(
        "alarm",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("severity", _words("severity", "info", "warning", "critical"), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("outage", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("raised_at", TIME, nullable=True),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.Column("stays_until", TIME, nullable=True),
        sa.Column("cleared_at", TIME, nullable=True),
        sa.Column("acknowledged_at", TIME, nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledge_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(acknowledged_at, acknowledged_by) in (0, 2)", name=op.f("ck_alarm_acknowledged")
        ),
        sa.CheckConstraint(
            "cleared_at is null or raised_at is not null", name=op.f("ck_alarm_only_what_was_raised_is_cleared")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    op.create_index("uq_alarm_open", "alarm", ["key"], unique=True, postgresql_where=sa.text("cleared_at is null"))
    op.create_index("ix_alarm_cleared", "alarm", ["cleared_at"])
    op.create_index("ix_alarm_acknowledged", "alarm", ["key"], postgresql_where=sa.text("acknowledged_at is not null"))
    op.create_table(
        "alarm_watch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("judged_at", TIME, nullable=True),
        sa.Column("took_seconds", sa.Float(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_watch")),
    )
    op.create_table(
        "notification",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("outage", sa.Text(), nullable=False),
        sa.Column("kind", _words("kind", "begin", "more", "end", "summary"), nullable=False),
        sa.Column("severity", _words("severity", "info", "warning", "critical"), nullable=False),
        sa.Column("message", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("not_before", TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("given_up_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint("key", name=op.f("uq_notification_key")),
    )
    op.create_index(
        "ix_notification_due",
        "notification",
        ["not_before"],
        postgresql_where=sa.text("sent_at is null and given_up_at is null"),
    )
    op.create_index("ix_notification_outage", "notification", ["channel", "outage", "id"])
    op.create_table(
        "notification_alarm",
        sa.Column("alarm_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("is_end", sa.Boolean(), nullable=False),
        sa.Column("severity", _words("severity", "info", "warning", "critical"), nullable=False),
        sa.Column("notification_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarm.id"], name=op.f("fk_notification_alarm_alarm_id")),
        sa.ForeignKeyConstraint(
            ["notification_id"],
            ["notification.id"],
            name=op.f("fk_notification_alarm_notification_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("alarm_id", "channel", "is_end", name=op.f("pk_notification_alarm")),
    )
    op.create_index(op.f("ix_notification_alarm_notification_id"), "notification_alarm", ["notification_id"])
    op.execute(KEEP_ALARM)
    op.execute(
        "create trigger alarm_keeps_what_it_said before update or delete on alarm"
        " for each row execute function keep_alarm()"
    )
    op.execute(
        "create trigger alarm_only_grows before truncate on alarm for each statement execute function refuse_change()"
    )
    op.create_index(
        "ix_operation_completed",
        "operation",
        ["data_location_id", "kind", "finished_at"],
        postgresql_where=sa.text("status = 'completed'"),
    )
    op.add_column("location_measurement", sa.Column("clock_ahead_seconds", sa.Float()))


def downgrade() -> None:
    op.drop_column("location_measurement", "clock_ahead_seconds")
    op.drop_index("ix_operation_completed", table_name="operation")
    for table in ("notification_alarm", "notification", "alarm_watch", "alarm"):
        op.drop_table(table)
    op.execute("drop function keep_alarm()")
