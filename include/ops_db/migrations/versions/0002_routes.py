"""What transfers share: routes, their decisions, reserved space; compressed twins; flagged observations."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FLAG: dict[str, sa.types.TypeEngine[Any]] = {
    "flagged_at": sa.DateTime(timezone=True),
    "flagged_by": sa.Text(),
    "flag_reason": sa.Text(),
}

BUNDLE = ("origin_location_id", "destination_location_id")
CLOSE_URGENT = """
with closed as (
  update data_transfer_package set state = 'closed', closed_at = now()
  where state = 'open' and is_urgent returning id, origin_location_id, destination_location_id
)
insert into data_transfer (data_transfer_package_id, origin_location_id, destination_location_id)
select id, origin_location_id, destination_location_id from closed
"""


def _open_bundles_are_unique_by(*columns: str) -> None:
    name, table = "uq_data_transfer_package_open", "data_transfer_package"
    op.drop_index(name, table_name=table)
    op.create_index(name, table, list(columns), unique=True, postgresql_where=sa.text("state = 'open'"))


def upgrade() -> None:
    op.create_index(
        "ix_physical_copy_bad",
        "physical_copy",
        ["raw_data_package_id"],
        postgresql_where=sa.text("raw_data_package_id is not null and status in ('corrupt', 'missing')"),
    )
    for name, kind in FLAG.items():
        op.add_column("executed_obs_unit", sa.Column(name, kind, nullable=True))
    op.create_index(
        "ix_executed_obs_unit_flagged", "executed_obs_unit", ["id"], postgresql_where=sa.text("flagged_at is not null")
    )
    op.add_column(
        "data_transfer_package", sa.Column("is_urgent", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    _open_bundles_are_unique_by(*BUNDLE, "is_urgent")
    op.add_column("data_transfer_package_member", sa.Column("frame_bytes", ARRAY(sa.BigInteger()), nullable=True))
    op.create_table(
        "data_transfer_route",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("origin_location_id", sa.BigInteger(), nullable=False),
        sa.Column("destination_location_id", sa.BigInteger(), nullable=False),
        sa.Column("streams", sa.Integer(), nullable=True),
        sa.Column("promised_until", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["origin_location_id"], ["data_location.id"], name=op.f("fk_data_transfer_route_origin_location_id")
        ),
        sa.ForeignKeyConstraint(
            ["destination_location_id"],
            ["data_location.id"],
            name=op.f("fk_data_transfer_route_destination_location_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_transfer_route")),
        sa.UniqueConstraint(
            "origin_location_id",
            "destination_location_id",
            name=op.f("uq_data_transfer_route_origin_location_id_destination_location_id"),
        ),
    )
    op.create_table(
        "transfer_decision",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("data_transfer_route_id", sa.BigInteger(), nullable=False),
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("streams", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_transfer_route_id"],
            ["data_transfer_route.id"],
            name=op.f("fk_transfer_decision_data_transfer_route_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer_decision")),
    )
    op.create_index("ix_transfer_decision_route", "transfer_decision", ["data_transfer_route_id", "id"])
    op.create_table(
        "space_reservation",
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column("lease_token", sa.BigInteger(), nullable=False),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_space_reservation_size")),
        sa.ForeignKeyConstraint(
            ["data_location_id"], ["data_location.id"], name=op.f("fk_space_reservation_data_location_id")
        ),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=op.f("fk_space_reservation_operation_id")),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_space_reservation")),
    )
    op.create_index("ix_space_reservation_location", "space_reservation", ["data_location_id"])


def downgrade() -> None:
    op.drop_index("ix_physical_copy_bad", table_name="physical_copy")
    op.drop_index("ix_space_reservation_location", table_name="space_reservation")
    op.drop_table("space_reservation")
    op.drop_index("ix_transfer_decision_route", table_name="transfer_decision")
    op.drop_table("transfer_decision")
    op.drop_table("data_transfer_route")
    op.drop_column("data_transfer_package_member", "frame_bytes")
    # Two bundles may be open for one destination, and the schema before knows but one: what is urgent is closed here.
    op.execute(CLOSE_URGENT)
    _open_bundles_are_unique_by(*BUNDLE)
    op.drop_column("data_transfer_package", "is_urgent")
    op.drop_index("ix_executed_obs_unit_flagged", table_name="executed_obs_unit")
    for name in reversed(FLAG):
        op.drop_column("executed_obs_unit", name)
