"""What worker hosts say of themselves."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "host_heartbeat",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("beaten_at", TIME, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("stopped_at", TIME, nullable=True),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("topology_sha256", sa.Text(), nullable=False),
        sa.Column("queues", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("clock_ahead_seconds", sa.Float(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=True),
        sa.Column("free_bytes", sa.BigInteger(), nullable=True),
        sa.Column("unreached", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_heartbeat")),
        postgresql_with={"fillfactor": 50},
    )


def downgrade() -> None:
    op.drop_table("host_heartbeat")
