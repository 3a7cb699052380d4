"""Disks known to be there: since when a location's folder has its mark."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("data_location", sa.Column("marked_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("data_location", "marked_at")
