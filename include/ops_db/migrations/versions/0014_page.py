"""What the page looks for: files by the end of their paths, and what an Airflow run tried."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_raw_data_file_name",
        "raw_data_file",
        [sa.literal_column("reverse(path)").label("backwards")],
        postgresql_ops={"backwards": "text_pattern_ops"},
    )
    op.create_index("ix_operation_attempt_run", "operation_attempt", ["run_id"])


def downgrade() -> None:
    op.drop_index("ix_operation_attempt_run", table_name="operation_attempt")
    op.drop_index("ix_raw_data_file_name", table_name="raw_data_file")
