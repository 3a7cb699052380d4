"""The brake: what would delete more than policy allows, what a person said, and what people asked to go."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ANSWERS = sa.Enum(
    "approved", "refused", "withdrawn", name="answer", native_enum=False, create_constraint=True, length=30
)

# What was asked never changes, an answer is given once, and a refusal is lifted once; the run that shows it may change
# as long as nobody has answered.
KEEP_BRAKE = """
create function keep_brake() returns trigger language plpgsql as $$
begin
  if (to_jsonb(new) - array['question_run_id', 'answer', 'answered_at', 'answered_by', 'reason',
                            'lifted_at', 'lifted_by', 'lift_reason'])
     <> (to_jsonb(old) - array['question_run_id', 'answer', 'answered_at', 'answered_by', 'reason',
                               'lifted_at', 'lifted_by', 'lift_reason'])
    or old.answer is not null and
      (new.answer, new.answered_at, new.answered_by, new.reason, new.question_run_id)
        is distinct from (old.answer, old.answered_at, old.answered_by, old.reason, old.question_run_id)
    or old.lifted_at is not null and
      (new.lifted_at, new.lifted_by, new.lift_reason)
        is distinct from (old.lifted_at, old.lifted_by, old.lift_reason)
  then
    raise exception 'what deletion_brake % asked and was answered is never changed', old.id;
  end if;
  return new;
end $$
"""


def upgrade() -> None:
    op.create_table(
        "deletion_brake",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("topology_version_id", sa.BigInteger(), nullable=False),
        sa.Column("policy_sha256", sa.Text(), nullable=False),
        sa.Column("package_count", sa.Integer(), nullable=False),
        sa.Column("copy_count", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("location_bytes", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("question_run_id", sa.Text(), nullable=True),
        sa.Column("answer", ANSWERS, nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("lift_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(answer, answered_at, answered_by) in (0, 3)", name=op.f("ck_deletion_brake_answered")
        ),
        sa.CheckConstraint("num_nonnulls(lifted_at, lifted_by) in (0, 2)", name=op.f("ck_deletion_brake_lifted")),
        sa.CheckConstraint(
            "lifted_at is null or answer = 'refused'", name=op.f("ck_deletion_brake_only_refusals_are_lifted")
        ),
        sa.ForeignKeyConstraint(
            ["data_location_id"], ["data_location.id"], name=op.f("fk_deletion_brake_data_location_id")
        ),
        sa.ForeignKeyConstraint(
            ["topology_version_id"], ["topology_version.id"], name=op.f("fk_deletion_brake_topology_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletion_brake")),
    )
    op.create_index(
        "uq_deletion_brake_pending",
        "deletion_brake",
        ["data_location_id"],
        unique=True,
        postgresql_where=sa.text("answer is null"),
    )
    op.create_index("ix_deletion_brake_location", "deletion_brake", ["data_location_id", "answer"])
    op.create_table(
        "deletion_brake_package",
        sa.Column("deletion_brake_id", sa.BigInteger(), nullable=False),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=False),
        sa.Column("copy_count", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["deletion_brake_id"], ["deletion_brake.id"], name=op.f("fk_deletion_brake_package_deletion_brake_id")
        ),
        sa.ForeignKeyConstraint(
            ["raw_data_package_id"],
            ["raw_data_package.id"],
            name=op.f("fk_deletion_brake_package_raw_data_package_id"),
        ),
        sa.PrimaryKeyConstraint("deletion_brake_id", "raw_data_package_id", name=op.f("pk_deletion_brake_package")),
    )
    op.create_index(
        op.f("ix_deletion_brake_package_raw_data_package_id"), "deletion_brake_package", ["raw_data_package_id"]
    )
    op.create_table(
        "deletion_request",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=False),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["raw_data_package_id"], ["raw_data_package.id"], name=op.f("fk_deletion_request_raw_data_package_id")
        ),
        sa.ForeignKeyConstraint(
            ["data_location_id"], ["data_location.id"], name=op.f("fk_deletion_request_data_location_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletion_request")),
    )
    op.create_index(
        "ix_deletion_request_package", "deletion_request", ["raw_data_package_id", "data_location_id", "id"]
    )
    op.execute(KEEP_BRAKE)
    op.execute(
        "create trigger deletion_brake_keeps_its_answer before update on deletion_brake"
        " for each row execute function keep_brake()"
    )
    for table, events in (
        ("deletion_brake", "delete or truncate"),
        ("deletion_brake_package", "update or delete or truncate"),
        ("deletion_request", "update or delete or truncate"),
    ):
        op.execute(
            f"create trigger {table}_only_grows before {events} on {table}"
            " for each statement execute function refuse_change()"
        )


def downgrade() -> None:
    for table in ("deletion_request", "deletion_brake_package", "deletion_brake"):
        op.drop_table(table)
    op.execute("drop function keep_brake()")
