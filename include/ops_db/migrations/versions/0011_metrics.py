"""How far metrics have got."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "metric_export",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("until_at", TIME, nullable=False),
        sa.Column("until_operation", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("until_number", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("exported_at", TIME, nullable=True),
        sa.Column("failing_since", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_metric_export")),
    )
    op.create_table(
        "metric_sample",
        sa.Column("sampled_at", TIME, nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sampled_at", name=op.f("pk_metric_sample")),
    )
    # A block range index costs an attempt's end nothing; attempts end about in the order in which they lie.
    op.create_index(
        "ix_operation_attempt_finished",
        "operation_attempt",
        ["finished_at"],
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 16, "autosummarize": True},
    )


def downgrade() -> None:
    op.drop_index("ix_operation_attempt_finished", table_name="operation_attempt")
    op.drop_table("metric_sample")
    op.drop_table("metric_export")
