"""How full locations are, and what is held back for it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CONDITIONS = ("well", "pressed", "full", "read_only", "gone")


def upgrade() -> None:
    op.add_column("data_location", sa.Column("measurement_asked_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "location_measurement",
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "measured_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=True),
        sa.Column("used_bytes", sa.BigInteger(), nullable=True),
        sa.Column("is_read_only", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_copies", sa.BigInteger(), nullable=False),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_location_id"], ["data_location.id"], name=op.f("fk_location_measurement_data_location_id")
        ),
        sa.PrimaryKeyConstraint("data_location_id", "measured_at", name=op.f("pk_location_measurement")),
    )
    op.create_table(
        "location_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "changed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column(
            "condition",
            sa.Enum(*CONDITIONS, name="condition", native_enum=False, create_constraint=True, length=30),
            nullable=False,
        ),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_location_id"], ["data_location.id"], name=op.f("fk_location_change_data_location_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location_change")),
    )
    op.create_index("ix_location_change_location", "location_change", ["data_location_id", "id"])
    op.create_index(
        "ix_physical_copy_deleted",
        "physical_copy",
        ["data_location_id", "deleted_at"],
        postgresql_where=sa.text("deleted_at is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_physical_copy_deleted", table_name="physical_copy")
    op.drop_table("location_change")
    op.drop_table("location_measurement")
    op.drop_column("data_location", "measurement_asked_at")
