"""The database that tests have one after the other is as new for each, or another."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from include.sandbox.postgres import Postgres
from tests.databases import SharedDatabase
from tests.observatory import Observatory


@pytest.fixture
def database(postgres: Postgres) -> Iterator[SharedDatabase]:
    database = SharedDatabase(postgres)
    yield database
    database.close()


def used(database: SharedDatabase, *statements: str) -> None:
    engine = create_engine(database.url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def rows(database: SharedDatabase, query: str) -> list:
    engine = create_engine(database.url)
    with engine.connect() as connection:
        found = list(connection.execute(text(query)))
    engine.dispose()
    return found


def test_rows_are_gone_and_ids_begin_again(database, tmp_path):
    for number in range(2):
        engine = create_engine(database.url)
        observatory = Observatory.build(engine, tmp_path / str(number))
        engine.dispose()
        assert rows(database, "select min(id) from data_location") == [(1,)]
        assert rows(database, "select sha256 from topology_version") == [(observatory.topology.sha256,)]
        assert database.made_new()
        assert rows(database, "select count(*) from data_location") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "alter table filing drop column verdict",
        "alter table deletion_record disable trigger user",
        "create index on operation (explanation)",
        "create table of_one_test (id int)",
        "analyze site",
    ],
)
def test_what_changed_the_schema_or_taught_the_planner_is_not_given_on(database, statement):
    assert database.made_new()
    used(database, "insert into site (short_name, name, location) values ('x', 'x', 'x')", statement)
    assert not database.made_new()


def test_who_is_still_connected_keeps_it(database):
    engine = create_engine(database.url)
    with engine.connect():
        assert not database.made_new()
    engine.dispose()
    assert database.made_new()


def test_where_much_was_written_it_is_not_given_on(database):
    used(
        database,
        "insert into site (short_name, name, location)"
        " select 's' || n, repeat(md5(n::text), 20), 'x' from generate_series(1, 20000) n",
    )
    assert not database.made_new()


def test_where_everybody_was_cut_off_it_is_not_given_on(database):
    used(
        database,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()",
    )
    assert not database.made_new()
