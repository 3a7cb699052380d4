"""Scrubbing: which copies were verified longest ago, and the operations about a copy."""

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_physical_copy_verified",
        "physical_copy",
        ["data_location_id", text("coalesce(verified_at, created_at)")],
        postgresql_where=text("raw_data_package_id is not null and status = 'present'"),
    )
    op.create_index(
        "ix_operation_copy",
        "operation",
        ["physical_copy_id"],
        postgresql_where=text("physical_copy_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_operation_copy", table_name="operation")
    op.drop_index("ix_physical_copy_verified", table_name="physical_copy")
