"""One database for many tests, emptied before each: making a database takes longer than such a test."""

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Engine, create_engine, text

from include.ops_db.engine import CLIENT_OPTIONS
from include.ops_db.tables import Base
from include.sandbox.postgres import Postgres
from tests.conftest import TEMPLATE

_databases = count(1)


@pytest.fixture(scope="session")
def shared_engine(postgres: Postgres) -> Iterator[Engine]:
    name = f"ops_db_lifecycle_{next(_databases)}"
    url = postgres.create_database(name, template=TEMPLATE)
    engine = create_engine(url, pool_size=20, max_overflow=20, connect_args=CLIENT_OPTIONS)
    yield engine
    engine.dispose()
    postgres.drop_database(name)


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    empty(shared_engine)
    return shared_engine


PLACES = {"site", "data_location", "topology_version", "instrument", "instrument_module"}
"""What applying a topology writes."""


def empty(engine: Engine, *, places_too: bool = True) -> None:
    """Delete all rows, also those that a trigger holds; for few rows that is faster than to truncate."""
    tables = [table.name for table in Base.metadata.sorted_tables if places_too or table.name not in PLACES]
    with engine.begin() as connection:
        connection.execute(text("set local session_replication_role = replica"))
        connection.execute(text(";".join(f"delete from {table}" for table in tables)))
