"""Fixtures for all tests: a real PostgreSQL for the session, an ops-db as new for each test."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from include.ops_db import migrate
from include.ops_db.engine import CLIENT_OPTIONS
from include.sandbox.postgres import Postgres
from tests.databases import TEMPLATE, SharedDatabase
from tests.observatory import Observatory


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server of this test session, with a migrated template database."""
    with Postgres.running(tmp_path_factory.mktemp("postgres")) as server:
        migrate.upgrade(server.create_database(TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Iterator[list[SharedDatabase]]:
    """The database for the next test, if there is one already."""
    waiting: list[SharedDatabase] = []
    yield waiting
    for database in waiting:
        database.close()


@pytest.fixture
def ops_db_url(postgres: Postgres, databases: list[SharedDatabase]) -> Iterator[str]:
    """URL of an ops-db that no other test has now, migrated and empty."""
    database = databases.pop() if databases else SharedDatabase(postgres)
    yield database.url
    if database.made_new():
        databases.append(database)
    else:
        database.close()


@pytest.fixture
def engine(ops_db_url: str) -> Iterator[Engine]:
    """An engine on this test's ops-db, for as many connections as a test of concurrency wants."""
    engine = _engine(ops_db_url)
    yield engine
    engine.dispose()


@cache
def _engine(url: str) -> Engine:
    """One for each database: it remembers compiled statements."""
    return create_engine(url, pool_size=20, max_overflow=20, connect_args=CLIENT_OPTIONS)


@pytest.fixture
def observatory(engine: Engine, tmp_path: Path) -> Observatory:
    """The sandbox's three sites as folders, with the topology applied."""
    return Observatory.build(engine, tmp_path / "observatory")
