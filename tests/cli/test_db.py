import io
from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import create_engine, inspect, text

from include.ops_db.engine import ops_db_engine
from include.sandbox.postgres import Postgres
from tests.cli.conftest import Dts

_numbers = count(1)


@pytest.fixture
def empty(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a database without a table, which `dts` is told of."""
    name = f"empty_{next(_numbers)}"
    url = postgres.create_database(name)
    monkeypatch.setenv("DTS_OPS_DB_URL", url)
    yield url
    ops_db_engine(url).dispose()
    control = create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    with control.connect() as connection:
        connection.execute(text(f"drop database {name} with (force)"))
    control.dispose()


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_up_and_up_again_and_down(bare_dts: Dts, empty: str) -> None:
    first = bare_dts("db", "upgrade")
    assert (first.code, first.err) == (0, "")
    assert "went from base to " in first.out
    assert "operation" in tables(empty)
    assert "as before" in bare_dts("db", "upgrade").out
    down = bare_dts("db", "downgrade", "base", "--yes")
    assert down.code == 0
    assert tables(empty) <= {"alembic_version"}


def test_down_asks_first(bare_dts: Dts, empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bare_dts("db", "upgrade")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    result = bare_dts("db", "downgrade", "base")
    assert result.code == 1
    assert "operation" in tables(empty)


def test_a_version_that_there_is_not_is_one_line(bare_dts: Dts, empty: str) -> None:
    result = bare_dts("db", "upgrade", "9999")
    assert result.code == 1
    assert "9999" in result.err
    assert len(result.err.splitlines()) == 1


def test_a_database_without_tables_names_the_command(bare_dts: Dts, empty: str) -> None:
    result = bare_dts("status")
    assert result.code == 1
    assert "run `dts db upgrade`" in result.err
