"""First tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "instrument",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instrument")),
        sa.UniqueConstraint("name", name=op.f("uq_instrument_name")),
    )
    op.create_table(
        "operation_attempt",
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "completed",
                "transient",
                "waiting",
                "permanent",
                "integrity",
                "lost",
                "yielded",
                "reset",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=True,
        ),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("worker_pid", sa.Integer(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("dag_id", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("task_id", sa.Text(), nullable=True),
        sa.Column("map_index", sa.Integer(), nullable=True),
        sa.Column("try_number", sa.Integer(), nullable=True),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("operation_id", "number", "started_at", name=op.f("pk_operation_attempt")),
        postgresql_partition_by="RANGE (started_at)",
    )
    op.create_index("ix_operation_attempt_operation", "operation_attempt", ["operation_id", "number"], unique=False)
    op.create_table(
        "site",
        sa.Column("short_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("short_name", name=op.f("pk_site")),
    )
    op.create_table(
        "topology_version",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_topology_version")),
    )
    op.create_table(
        "data_location",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column(
            "location_type",
            sa.Enum(
                "source",
                "buffer",
                "long_term_archive",
                "processing",
                name="location_type",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("storage_type", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.ForeignKeyConstraint(["site"], ["site.short_name"], name=op.f("fk_data_location_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_location")),
        sa.UniqueConstraint("full_name", name=op.f("uq_data_location_full_name")),
    )
    op.create_table(
        "executed_obs_unit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("instrument_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["instrument_id"], ["instrument.id"], name=op.f("fk_executed_obs_unit_instrument_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_executed_obs_unit")),
    )
    op.create_table(
        "instrument_module",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("instrument_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["instrument_id"], ["instrument.id"], name=op.f("fk_instrument_module_instrument_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instrument_module")),
        sa.UniqueConstraint("instrument_id", "name", name=op.f("uq_instrument_module_instrument_id_name")),
    )
    op.create_table(
        "data_transfer_package",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("origin_location_id", sa.BigInteger(), nullable=False),
        sa.Column("destination_location_id", sa.BigInteger(), nullable=False),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("open", "closed", name="state", native_enum=False, create_constraint=True, length=30),
            server_default="open",
            nullable=False,
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["destination_location_id"],
            ["data_location.id"],
            name=op.f("fk_data_transfer_package_destination_location_id"),
        ),
        sa.ForeignKeyConstraint(
            ["origin_location_id"], ["data_location.id"], name=op.f("fk_data_transfer_package_origin_location_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_transfer_package")),
    )
    op.create_index(
        "uq_data_transfer_package_open",
        "data_transfer_package",
        ["origin_location_id", "destination_location_id"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "filing",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("dag_run_id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("received_from", sa.Text(), nullable=False),
        sa.Column("conf", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("executed_obs_unit_id", sa.Uuid(), nullable=True),
        sa.Column("data_location_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "received", "accepted", "refused", name="state", native_enum=False, create_constraint=True, length=30
            ),
            server_default="received",
            nullable=False,
        ),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("file_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["data_location_id"], ["data_location.id"], name=op.f("fk_filing_data_location_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filing")),
        sa.UniqueConstraint("dag_run_id", name=op.f("uq_filing_dag_run_id")),
    )
    op.create_index("ix_filing_obs", "filing", ["executed_obs_unit_id"], unique=False)
    op.create_index("ix_filing_state_received_at", "filing", ["state", "received_at"], unique=False)
    op.create_table(
        "raw_data_package",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("executed_obs_unit_id", sa.Uuid(), nullable=False),
        sa.Column("instrument_module_id", sa.BigInteger(), nullable=False),
        sa.Column("source_location_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "waiting",
                "transferring",
                "archived",
                "failed",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            server_default="waiting",
            nullable=False,
        ),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("content_bytes", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("checksum", sa.Text(), nullable=True),
        sa.Column("block_bytes", sa.BigInteger(), nullable=True),
        sa.Column("block_checksums", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("packaged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["executed_obs_unit_id"], ["executed_obs_unit.id"], name=op.f("fk_raw_data_package_executed_obs_unit_id")
        ),
        sa.ForeignKeyConstraint(
            ["instrument_module_id"], ["instrument_module.id"], name=op.f("fk_raw_data_package_instrument_module_id")
        ),
        sa.ForeignKeyConstraint(
            ["source_location_id"], ["data_location.id"], name=op.f("fk_raw_data_package_source_location_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_data_package")),
        sa.UniqueConstraint(
            "executed_obs_unit_id",
            "instrument_module_id",
            "number",
            name=op.f("uq_raw_data_package_executed_obs_unit_id_instrument_module_id_number"),
        ),
        sa.UniqueConstraint("name", name=op.f("uq_raw_data_package_name")),
    )
    op.create_index(
        op.f("ix_raw_data_package_source_location_id"), "raw_data_package", ["source_location_id"], unique=False
    )
    op.create_table(
        "staging_job",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum("active", "expired", name="state", native_enum=False, create_constraint=True, length=30),
            server_default="active",
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_location_id"], ["data_location.id"], name=op.f("fk_staging_job_data_location_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staging_job")),
    )
    op.create_table(
        "data_transfer",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("data_transfer_package_id", sa.BigInteger(), nullable=False),
        sa.Column("origin_location_id", sa.BigInteger(), nullable=False),
        sa.Column("destination_location_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "transfer_status",
            sa.Enum(
                "pending",
                "scheduled",
                "in_progress",
                "completed",
                "failed",
                "cancelled",
                name="transfer_status",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            server_default="pending",
            nullable=False,
        ),
        sa.Column(
            "unpacking_status",
            sa.Enum(
                "pending",
                "scheduled",
                "in_progress",
                "completed",
                "failed",
                "cancelled",
                name="unpacking_status",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            server_default="pending",
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("transferred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unpacked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["data_transfer_package_id"],
            ["data_transfer_package.id"],
            name=op.f("fk_data_transfer_data_transfer_package_id"),
        ),
        sa.ForeignKeyConstraint(
            ["destination_location_id"], ["data_location.id"], name=op.f("fk_data_transfer_destination_location_id")
        ),
        sa.ForeignKeyConstraint(
            ["origin_location_id"], ["data_location.id"], name=op.f("fk_data_transfer_origin_location_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_transfer")),
        sa.UniqueConstraint("data_transfer_package_id", name=op.f("uq_data_transfer_data_transfer_package_id")),
    )
    op.create_table(
        "data_transfer_package_member",
        sa.Column("data_transfer_package_id", sa.BigInteger(), nullable=False),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_transfer_package_id"],
            ["data_transfer_package.id"],
            name=op.f("fk_data_transfer_package_member_data_transfer_package_id"),
        ),
        sa.ForeignKeyConstraint(
            ["raw_data_package_id"],
            ["raw_data_package.id"],
            name=op.f("fk_data_transfer_package_member_raw_data_package_id"),
        ),
        sa.PrimaryKeyConstraint(
            "data_transfer_package_id", "raw_data_package_id", name=op.f("pk_data_transfer_package_member")
        ),
    )
    op.create_index(
        op.f("ix_data_transfer_package_member_raw_data_package_id"),
        "data_transfer_package_member",
        ["raw_data_package_id"],
        unique=False,
    )
    op.create_table(
        "deletion_record",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=False),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("topology_version_id", sa.BigInteger(), nullable=False),
        sa.Column("copy_count", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["data_location_id"], ["data_location.id"], name=op.f("fk_deletion_record_data_location_id")
        ),
        sa.ForeignKeyConstraint(
            ["raw_data_package_id"], ["raw_data_package.id"], name=op.f("fk_deletion_record_raw_data_package_id")
        ),
        sa.ForeignKeyConstraint(
            ["topology_version_id"], ["topology_version.id"], name=op.f("fk_deletion_record_topology_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletion_record")),
    )
    op.create_index(
        op.f("ix_deletion_record_raw_data_package_id"), "deletion_record", ["raw_data_package_id"], unique=False
    )
    op.create_table(
        "raw_data_file",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("executed_obs_unit_id", sa.Uuid(), nullable=False),
        sa.Column("instrument_module_id", sa.BigInteger(), nullable=False),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("filing_id", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=True),
        sa.Column("filed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=True),
        sa.Column("offset_bytes", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_raw_data_file_size")),
        sa.ForeignKeyConstraint(
            ["data_location_id"], ["data_location.id"], name=op.f("fk_raw_data_file_data_location_id")
        ),
        sa.ForeignKeyConstraint(
            ["executed_obs_unit_id"], ["executed_obs_unit.id"], name=op.f("fk_raw_data_file_executed_obs_unit_id")
        ),
        sa.ForeignKeyConstraint(["filing_id"], ["filing.id"], name=op.f("fk_raw_data_file_filing_id")),
        sa.ForeignKeyConstraint(
            ["instrument_module_id"], ["instrument_module.id"], name=op.f("fk_raw_data_file_instrument_module_id")
        ),
        sa.ForeignKeyConstraint(
            ["raw_data_package_id"], ["raw_data_package.id"], name=op.f("fk_raw_data_file_raw_data_package_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_data_file")),
        sa.UniqueConstraint("executed_obs_unit_id", "path", name=op.f("uq_raw_data_file_executed_obs_unit_id_path")),
    )
    op.create_index(op.f("ix_raw_data_file_filing_id"), "raw_data_file", ["filing_id"], unique=False)
    op.create_index("ix_raw_data_file_package", "raw_data_file", ["raw_data_package_id", "path"], unique=False)
    op.create_index("ix_raw_data_file_place", "raw_data_file", ["data_location_id", "path"], unique=False)
    op.create_index(
        "ix_raw_data_file_unpackaged",
        "raw_data_file",
        ["data_location_id", "executed_obs_unit_id", "instrument_module_id"],
        unique=False,
        postgresql_where=sa.text("raw_data_package_id is null"),
    )
    op.create_table(
        "staging_job_package",
        sa.Column("staging_job_id", sa.BigInteger(), nullable=False),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["raw_data_package_id"], ["raw_data_package.id"], name=op.f("fk_staging_job_package_raw_data_package_id")
        ),
        sa.ForeignKeyConstraint(
            ["staging_job_id"], ["staging_job.id"], name=op.f("fk_staging_job_package_staging_job_id")
        ),
        sa.PrimaryKeyConstraint("staging_job_id", "raw_data_package_id", name=op.f("pk_staging_job_package")),
    )
    op.create_index(
        op.f("ix_staging_job_package_raw_data_package_id"), "staging_job_package", ["raw_data_package_id"], unique=False
    )
    op.create_table(
        "physical_copy",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("raw_data_file_id", sa.Uuid(), nullable=True),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=True),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "present",
                "staged",
                "deletion_possible",
                "deletion_scheduled",
                "deletion_in_progress",
                "deleted",
                "deletion_failed",
                "missing",
                "corrupt",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            server_default="present",
            nullable=False,
        ),
        sa.Column("wanted", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(raw_data_file_id, raw_data_package_id) = 1", name=op.f("ck_physical_copy_one_subject")
        ),
        sa.ForeignKeyConstraint(
            ["data_location_id"], ["data_location.id"], name=op.f("fk_physical_copy_data_location_id")
        ),
        sa.ForeignKeyConstraint(
            ["raw_data_file_id"], ["raw_data_file.id"], name=op.f("fk_physical_copy_raw_data_file_id")
        ),
        sa.ForeignKeyConstraint(
            ["raw_data_package_id"], ["raw_data_package.id"], name=op.f("fk_physical_copy_raw_data_package_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_physical_copy")),
        sa.UniqueConstraint(
            "raw_data_file_id", "data_location_id", name=op.f("uq_physical_copy_raw_data_file_id_data_location_id")
        ),
        sa.UniqueConstraint(
            "raw_data_package_id",
            "data_location_id",
            name=op.f("uq_physical_copy_raw_data_package_id_data_location_id"),
        ),
    )
    op.create_index("ix_physical_copy_location", "physical_copy", ["data_location_id", "status"], unique=False)
    op.create_table(
        "operation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "registration",
                "packaging",
                "bundling",
                "transfer",
                "unpacking",
                "archiving",
                "staging",
                "deletion",
                "scrubbing",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("data_location_id", sa.BigInteger(), nullable=False),
        sa.Column("filing_id", sa.BigInteger(), nullable=True),
        sa.Column("raw_data_package_id", sa.BigInteger(), nullable=True),
        sa.Column("data_transfer_package_id", sa.BigInteger(), nullable=True),
        sa.Column("data_transfer_id", sa.BigInteger(), nullable=True),
        sa.Column("physical_copy_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "scheduled",
                "in_progress",
                "completed",
                "failed",
                "cancelled",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            server_default="pending",
            nullable=False,
        ),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("planned_run_id", sa.Text(), nullable=True),
        sa.Column("planned_batch", sa.Integer(), nullable=True),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failure_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_try", sa.Integer(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            """
case kind
  when 'registration' then filing_id
  when 'bundling' then data_transfer_package_id
  when 'transfer' then data_transfer_id
  when 'unpacking' then data_transfer_id
  when 'scrubbing' then physical_copy_id
  else raw_data_package_id
end is not null
and num_nonnulls(filing_id, raw_data_package_id, data_transfer_package_id, data_transfer_id, physical_copy_id) = 1
""",
            name=op.f("ck_operation_subject_fits_kind"),
        ),
        sa.ForeignKeyConstraint(["data_location_id"], ["data_location.id"], name=op.f("fk_operation_data_location_id")),
        sa.ForeignKeyConstraint(["data_transfer_id"], ["data_transfer.id"], name=op.f("fk_operation_data_transfer_id")),
        sa.ForeignKeyConstraint(
            ["data_transfer_package_id"],
            ["data_transfer_package.id"],
            name=op.f("fk_operation_data_transfer_package_id"),
        ),
        sa.ForeignKeyConstraint(["filing_id"], ["filing.id"], name=op.f("fk_operation_filing_id")),
        sa.ForeignKeyConstraint(["physical_copy_id"], ["physical_copy.id"], name=op.f("fk_operation_physical_copy_id")),
        sa.ForeignKeyConstraint(
            ["raw_data_package_id"], ["raw_data_package.id"], name=op.f("fk_operation_raw_data_package_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operation")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_operation_due",
        "operation",
        ["data_location_id", "kind", sa.literal_column("priority desc"), "id"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_operation_again",
        "operation",
        ["data_location_id", "kind", "not_before"],
        unique=False,
        postgresql_where=sa.text("status = 'pending' and not_before is not null"),
    )
    op.create_index(
        "ix_operation_live_lane",
        "operation",
        ["data_location_id", "kind", "status"],
        unique=False,
        postgresql_where=sa.text("status in ('scheduled', 'in_progress', 'failed')"),
    )
    op.create_index("ix_operation_package", "operation", ["raw_data_package_id"], unique=False)
    op.create_index("ix_operation_transfer", "operation", ["data_transfer_id"], unique=False)
    op.create_index(
        "uq_operation_live",
        "operation",
        [
            "kind",
            "data_location_id",
            "filing_id",
            "raw_data_package_id",
            "data_transfer_package_id",
            "data_transfer_id",
            "physical_copy_id",
        ],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("status not in ('completed', 'cancelled')"),
    )
    # Months are made two years ahead; what falls outside still has a place.
    op.execute("create table operation_attempt_other partition of operation_attempt default")
    op.execute(
        """
        do $$
        declare month timestamptz := date_trunc('month', now() at time zone 'utc') at time zone 'utc';
        begin
          for ahead in 0..23 loop
            execute format(
              'create table operation_attempt_%s partition of operation_attempt for values from (%L) to (%L)',
              to_char((month + make_interval(months => ahead)) at time zone 'utc', 'YYYY_MM'),
              month + make_interval(months => ahead), month + make_interval(months => ahead + 1));
          end loop;
        end $$
        """
    )
    op.execute(
        """
        create function refuse_change() returns trigger language plpgsql as $$
        begin
          raise exception '% is never changed: it only grows', tg_table_name;
        end $$
        """
    )
    op.execute(
        "create trigger deletion_record_only_grows before update or delete or truncate on deletion_record"
        " for each statement execute function refuse_change()"
    )


def downgrade() -> None:
    op.drop_index(
        "uq_operation_live",
        table_name="operation",
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("status not in ('completed', 'cancelled')"),
    )
    op.drop_index("ix_operation_transfer", table_name="operation")
    op.drop_index("ix_operation_package", table_name="operation")
    op.drop_index(
        "ix_operation_live_lane",
        table_name="operation",
        postgresql_where=sa.text("status in ('scheduled', 'in_progress', 'failed')"),
    )
    op.drop_index("ix_operation_due", table_name="operation", postgresql_where=sa.text("status = 'pending'"))
    op.drop_index(
        "ix_operation_again",
        table_name="operation",
        postgresql_where=sa.text("status = 'pending' and not_before is not null"),
    )
    op.drop_table("operation")
    op.drop_index("ix_physical_copy_location", table_name="physical_copy")
    op.drop_table("physical_copy")
    op.drop_index(op.f("ix_staging_job_package_raw_data_package_id"), table_name="staging_job_package")
    op.drop_table("staging_job_package")
    op.drop_index(
        "ix_raw_data_file_unpackaged",
        table_name="raw_data_file",
        postgresql_where=sa.text("raw_data_package_id is null"),
    )
    op.drop_index("ix_raw_data_file_place", table_name="raw_data_file")
    op.drop_index("ix_raw_data_file_package", table_name="raw_data_file")
    op.drop_index(op.f("ix_raw_data_file_filing_id"), table_name="raw_data_file")
    op.drop_table("raw_data_file")
    op.drop_index(op.f("ix_deletion_record_raw_data_package_id"), table_name="deletion_record")
    op.drop_table("deletion_record")
    op.drop_index(
        op.f("ix_data_transfer_package_member_raw_data_package_id"), table_name="data_transfer_package_member"
    )
    op.drop_table("data_transfer_package_member")
    op.drop_table("data_transfer")
    op.drop_table("staging_job")
    op.drop_index(op.f("ix_raw_data_package_source_location_id"), table_name="raw_data_package")
    op.drop_table("raw_data_package")
    op.drop_index("ix_filing_state_received_at", table_name="filing")
    op.drop_index("ix_filing_obs", table_name="filing")
    op.drop_table("filing")
    op.drop_index(
        "uq_data_transfer_package_open", table_name="data_transfer_package", postgresql_where=sa.text("state = 'open'")
    )
    op.drop_table("data_transfer_package")
    op.drop_table("instrument_module")
    op.drop_table("executed_obs_unit")
    op.drop_table("data_location")
    op.drop_table("topology_version")
    op.drop_table("site")
    op.drop_index("ix_operation_attempt_operation", table_name="operation_attempt")
    op.drop_table("operation_attempt")
    op.drop_table("instrument")
    op.execute("drop function refuse_change()")
