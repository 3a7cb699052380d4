"""Operations that are over move to a history by month."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
COLUMNS = (
    "id, kind, data_location_id, filing_id, raw_data_package_id, data_transfer_package_id, data_transfer_id,"
    " physical_copy_id, status, priority, size_bytes, not_before, planned_run_id, planned_batch, scheduled_at,"
    " attempt_count, failure_count, lease_token, lease_owner, lease_try, lease_expires_at, explanation, created_at,"
    " finished_at"
)


def upgrade() -> None:
    op.create_table(
        "operation_history",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("filing_id", sa.BigInteger(), nullable=True),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=True),
        sa.Column("data_transfer_package_id", sa.BigInteger(), nullable=True),
        sa.Column("data_transfer_id", sa.BigInteger(), nullable=True),
        sa.Column("physical_copy_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("not_before", TIME, nullable=True),
        sa.Column("planned_run_id", sa.Text(), nullable=True),
        sa.Column("planned_batch", sa.Integer(), nullable=True),
        sa.Column("scheduled_at", TIME, nullable=True),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("failure_count", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.BigInteger(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_try", sa.Integer(), nullable=True),
        sa.Column("lease_expires_at", TIME, nullable=True),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", "finished_at", name=op.f("pk_operation_history")),
        postgresql_partition_by="RANGE (finished_at)",
    )
    op.create_index("ix_operation_history_package", "operation_history", ["raw_data_package_id"])
    op.create_index("ix_operation_history_transfer", "operation_history", ["data_transfer_id"])
    op.create_index("ix_operation_history_bundle", "operation_history", ["data_transfer_package_id"])
    op.create_index("ix_operation_history_copy", "operation_history", ["physical_copy_id"])
    # Months are made by housekeeping; until then, and for what it missed, there is a place.
    op.execute("create table operation_history_other partition of operation_history default")
    op.execute(
        f"create view operation_ever as select {COLUMNS} from operation"  # noqa: S608 - a constant
        f" union all select {COLUMNS} from operation_history"
    )


def downgrade() -> None:
    op.execute("drop view operation_ever")
    op.execute(
        f"insert into operation ({COLUMNS}) overriding system value select {COLUMNS} from operation_history"  # noqa: S608 - a constant
    )
    op.drop_table("operation_history")
