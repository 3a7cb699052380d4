"""The API: tokens of services, filings that come as a stream, observations that are closed; indexes for its lists."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "service_token",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("instruments", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("purpose", sa.Text(), server_default="", nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.CheckConstraint("num_nonnulls(revoked_at, revoked_by) in (0, 2)", name=op.f("ck_service_token_revoked")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_token")),
        sa.UniqueConstraint("sha256", name=op.f("uq_service_token_sha256")),
    )
    op.create_table(
        "filed_line",
        sa.Column("filing_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["filing_id"], ["filing.id"], name=op.f("fk_filed_line_filing_id")),
        sa.PrimaryKeyConstraint("filing_id", "position", name=op.f("pk_filed_line")),
    )
    op.add_column("filing", sa.Column("content_sha256", sa.Text()))
    op.add_column("filing", sa.Column("has_lines", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.drop_index("ix_filing_obs", table_name="filing")
    op.create_index("ix_filing_obs", "filing", ["executed_obs_unit_id", "id"])
    op.create_index("ix_filing_account", "filing", ["received_from", "id"])
    op.add_column("executed_obs_unit", sa.Column("closed_at", sa.DateTime(timezone=True)))
    op.create_index("ix_executed_obs_unit_started", "executed_obs_unit", ["started_at", "id"])
    op.create_index("ix_executed_obs_unit_instrument", "executed_obs_unit", ["instrument_id", "started_at", "id"])
    op.create_index("ix_raw_data_package_state", "raw_data_package", ["state", "id"])
    op.create_index("ix_data_transfer_status", "data_transfer", ["transfer_status", "id"])
    op.create_index(
        "ix_physical_copy_packages",
        "physical_copy",
        ["data_location_id", "raw_data_package_id"],
        postgresql_where=sa.text("raw_data_package_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_physical_copy_packages", table_name="physical_copy")
    op.drop_index("ix_data_transfer_status", table_name="data_transfer")
    op.drop_index("ix_raw_data_package_state", table_name="raw_data_package")
    op.drop_index("ix_executed_obs_unit_instrument", table_name="executed_obs_unit")
    op.drop_index("ix_executed_obs_unit_started", table_name="executed_obs_unit")
    op.drop_column("executed_obs_unit", "closed_at")
    op.drop_index("ix_filing_account", table_name="filing")
    op.drop_index("ix_filing_obs", table_name="filing")
    op.create_index("ix_filing_obs", "filing", ["executed_obs_unit_id"])
    op.drop_column("filing", "has_lines")
    op.drop_column("filing", "content_sha256")
    op.drop_table("filed_line")
    op.drop_table("service_token")
