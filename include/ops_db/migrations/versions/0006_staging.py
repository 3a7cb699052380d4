"""Staging jobs: owner, expiry, extension, progress."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _states_are(*states: str) -> None:
    op.drop_constraint(op.f("ck_staging_job_state"), "staging_job", type_="check")
    op.create_check_constraint(op.f("ck_staging_job_state"), "staging_job", sa.column("state").in_(states))


def upgrade() -> None:
    op.add_column("staging_job", sa.Column("may_wait", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    _states_are("active", "expired", "released")
    op.create_index(
        "ix_staging_job_active", "staging_job", ["data_location_id"], postgresql_where=sa.text("state = 'active'")
    )
    op.create_table(
        "staging_job_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("staging_job_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "recorded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "event",
            sa.Enum(
                "requested",
                "extended",
                "released",
                "expired",
                name="event",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("asked_through", sa.Text(), server_default="", nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["staging_job_id"], ["staging_job.id"], name=op.f("fk_staging_job_event_staging_job_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staging_job_event")),
    )
    op.create_index(op.f("ix_staging_job_event_staging_job_id"), "staging_job_event", ["staging_job_id"])
    op.execute(
        "create trigger staging_job_event_only_grows before update or delete or truncate on staging_job_event"
        " for each statement execute function refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("staging_job_event")
    op.drop_index("ix_staging_job_active", table_name="staging_job")
    op.execute("update staging_job set state = 'expired' where state = 'released'")  # the schema before knows no other
    _states_are("active", "expired")
    op.drop_column("staging_job", "may_wait")
