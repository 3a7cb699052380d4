"""Policies: pins, overrides of the rule of archive copies, and the two steps in which raw files go."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Rows are history: none is deleted, and of each only what comes later (a release, a confirmation) is written, once.
WRITE_ONCE = """
create function write_once() returns trigger language plpgsql as $$
begin
  if (to_jsonb(new) - tg_argv) <> (to_jsonb(old) - tg_argv) or exists (
    select from unnest(tg_argv) as later where to_jsonb(old) ->> later is not null
      and to_jsonb(old) -> later is distinct from to_jsonb(new) -> later)
  then
    raise exception 'what % % says is never changed', tg_table_name, old.id;
  end if;
  return new;
end $$
"""
LATER = {
    "pin": ("released_at", "released_by"),
    "copy_rule_override": ("confirmed_at", "confirmed_by", "confirmed_from"),
}


def upgrade() -> None:
    op.create_table(
        "pin",
        *_subject("pin"),
        sa.Column("data_location_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("pinned_by", sa.Text(), nullable=False),
        sa.Column("pinned_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.CheckConstraint("num_nonnulls(released_at, released_by) in (0, 2)", name=op.f("ck_pin_released")),
    )
    for name, column in (("package", "raw_data_package_id"), ("observation", "executed_obs_unit_id")):
        op.create_index(f"ix_pin_{name}", "pin", [column], postgresql_where=sa.text("released_at is null"))
    op.create_table(
        "copy_rule_override",
        *_subject("copy_rule_override"),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("asked_from", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_from", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(confirmed_at, confirmed_by) in (0, 2)", name=op.f("ck_copy_rule_override_confirmed")
        ),
        sa.CheckConstraint("confirmed_by <> asked_by", name=op.f("ck_copy_rule_override_two_people")),
        sa.CheckConstraint("confirmed_at < expires_at", name=op.f("ck_copy_rule_override_in_time")),
    )
    op.create_index(
        "ix_copy_rule_override_location",
        "copy_rule_override",
        ["data_location_id", "expires_at"],
        postgresql_where=sa.text("confirmed_at is not null"),
    )
    op.add_column("deletion_record", sa.Column("copy_rule_override_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_deletion_record_copy_rule_override_id"),
        "deletion_record",
        "copy_rule_override",
        ["copy_rule_override_id"],
        ["id"],
    )
    for column in ("raw_files_freed_at", "raw_files_gone_at"):
        op.add_column("raw_data_package", sa.Column(column, sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_raw_data_package_at_source",
        "raw_data_package",
        ["source_location_id", "archived_at"],
        postgresql_where=sa.text("raw_files_gone_at is null"),
    )
    op.execute(WRITE_ONCE)
    for table, later in LATER.items():
        op.execute(
            f"create trigger {table}_only_grows before delete or truncate on {table}"
            " for each statement execute function refuse_change()"
        )
        op.execute(
            f"create trigger {table}_is_written_once before update on {table}"
            f" for each row execute function write_once({', '.join(later)})"
        )


def downgrade() -> None:
    op.drop_index("ix_raw_data_package_at_source", table_name="raw_data_package")
    for column in ("raw_files_freed_at", "raw_files_gone_at"):
        op.drop_column("raw_data_package", column)
    op.drop_column("deletion_record", "copy_rule_override_id")
    for table in reversed(LATER):
        op.drop_table(table)
    op.execute("drop function write_once()")


def _subject(table: str) -> list[SchemaItem]:
    """Id, and what it is about: one package or one observation."""
    keys = {
        "raw_data_package_id": "raw_data_package.id",
        "executed_obs_unit_id": "executed_obs_unit.id",
        "data_location_id": "data_location.id",
    }
    return [
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=True),
        sa.Column("executed_obs_unit_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(raw_data_package_id, executed_obs_unit_id) = 1", name=op.f(f"ck_{table}_one_subject")
        ),
        *(sa.ForeignKeyConstraint([key], [other], name=op.f(f"fk_{table}_{key}")) for key, other in keys.items()),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    ]
