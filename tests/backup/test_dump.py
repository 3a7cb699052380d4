"""A backup is whole, restored into an empty server, or refused; never half."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from include.backup.contents import Contents, beside, contents
from include.backup.dump import back_up, restore, verify
from include.errors import BadInputError, IntegrityError, TransientError
from include.sandbox.postgres import Postgres
from include.sandbox.programs import Programs
from tests.cli.conftest import Dts
from tests.lifecycle.archived import archived_package
from tests.metrics.done import attempts
from tests.observatory import Observatory

WHEEL = [Programs.of_this_environment().postgres_folder / "bin"]


@pytest.fixture
def address(observatory: Observatory) -> URL:
    attempts(archived_package(observatory), 20)
    return observatory.engine.url


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[URL]:
    yield make_url(postgres.create_database("restored"))
    postgres.drop_database("restored")


def here(url: URL) -> Contents:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = contents(connection)
    engine.dispose()
    return found


def databases(url: URL) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        count = connection.execute(text("select count(*) from pg_database")).scalar_one()
    engine.dispose()
    return int(count)


def test_what_is_backed_up_is_restored_into_an_empty_server(address: URL, tmp_path: Path) -> None:
    dump = tmp_path / "ops_db.dump"
    taken = back_up(address, dump, programs=WHEEL)
    assert taken.rows["operation_attempt"] == 20
    assert dump.stat().st_mode & 0o077 == 0
    with Postgres.running(tmp_path / "another") as other:
        url = make_url(other.create_database("ops_db"))
        assert restore(url, dump, programs=WHEEL).rows == taken.rows
        assert here(url).differences(here(address)) == []
        engine = create_engine(url)
        with engine.begin() as connection:  # triggers, partitions and the view came along
            assert connection.execute(text("select count(*) from operation_ever")).scalar() == 20
            triggers = connection.execute(text("select count(*) from pg_trigger where not tgisinternal")).scalar_one()
        engine.dispose()
    assert triggers >= 5


def test_a_backup_is_of_one_moment_while_work_goes_on(address: URL, observatory: Observatory, tmp_path: Path) -> None:
    package = archived_package(observatory)
    stop = threading.Event()

    def works() -> None:
        while not stop.is_set():
            attempts(package, 3)

    worker = threading.Thread(target=works)
    worker.start()
    try:
        taken = back_up(address, tmp_path / "dump", programs=WHEEL)
    finally:
        stop.set()
        worker.join()
    assert here(address).rows["operation_attempt"] > taken.rows["operation_attempt"]
    before = databases(address)
    assert verify(address, tmp_path / "dump", programs=WHEEL).rows == taken.rows
    assert databases(address) == before


def test_only_an_empty_database_is_filled(address: URL, tmp_path: Path) -> None:
    back_up(address, tmp_path / "dump", programs=WHEEL)
    before = here(address)
    with pytest.raises(BadInputError, match="is not empty"):
        restore(address, tmp_path / "dump", programs=WHEEL)
    assert here(address).differences(before) == []


def test_a_damaged_or_cut_dump_is_refused(address: URL, empty: URL, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    back_up(address, dump, programs=WHEEL)
    whole = dump.read_bytes()
    dump.write_bytes(whole[:-100])
    with pytest.raises(IntegrityError, match="is damaged"):
        restore(empty, dump, programs=WHEEL)
    dump.write_bytes(whole)
    beside(dump).unlink()
    with pytest.raises(BadInputError, match="cannot be used"):
        restore(empty, dump, programs=WHEEL)


def test_rows_that_are_missing_afterwards_are_told(address: URL, empty: URL, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    taken = back_up(address, dump, programs=WHEEL)
    beside(dump).write_text(taken.model_copy(update={"rows": taken.rows | {"operation": 21}}).model_dump_json())
    with pytest.raises(IntegrityError, match="operation has 20 rows, not 21"):
        restore(empty, dump, programs=WHEEL)


def test_an_existing_file_is_never_written_over_and_none_is_left_behind(address: URL, tmp_path: Path) -> None:
    (tmp_path / "dump").write_text("precious")
    with pytest.raises(BadInputError, match="name another file"):
        back_up(address, tmp_path / "dump", programs=WHEEL)
    assert (tmp_path / "dump").read_text() == "precious"
    with pytest.raises((TransientError, OSError)):
        back_up(address, tmp_path / "no_folder" / "dump", programs=WHEEL)
    assert [path.name for path in tmp_path.iterdir() if "dump" in path.name] == ["dump"]


def test_the_commands_say_what_they_did(
    address: URL, bare_dts: Dts, empty: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DTS_OPS_DB_URL", address.render_as_string(hide_password=False))
    file = str(tmp_path / "ops_db.dump")
    made = bare_dts("db", "backup", file)
    assert (made.code, made.err) == (0, "")
    proved = bare_dts("db", "verify", file)
    assert "is whole, and can be restored" in proved.out
    refused = bare_dts("db", "restore", file)
    assert (refused.code, "is not empty" in refused.err) == (1, True)
    monkeypatch.setenv("DTS_OPS_DB_URL", empty.render_as_string(hide_password=False))
    assert bare_dts("db", "restore", file).code == 0
    assert "operation" in here(empty).rows
