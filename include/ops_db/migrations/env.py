"""Alembic's entry: one transaction for all steps, under a lock, so that two upgrades at once do not meet."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from include.ops_db.tables import Base

PARTITIONS = ("operation_attempt_", "operation_history_")


def is_ours(_: object, name: str | None, type_: str, reflected: bool, __: object) -> bool:
    """Leave the monthly partitions out of comparisons: they follow their parent."""
    return not (reflected and type_ in {"table", "index"} and (name or "").startswith(PARTITIONS))


def run() -> None:
    """Run the migrations that Alembic chose."""
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection, target_metadata=Base.metadata, compare_type=True, include_object=is_ours
        )
        with context.begin_transaction():
            connection.execute(text("select pg_advisory_xact_lock(hashtext('dts migrations'))"))
            context.run_migrations()


run()
