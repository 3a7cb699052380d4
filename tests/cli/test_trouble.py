"""What every command has in common: which ops-db is meant, and one line where it cannot be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.ops_db.engine import ops_db_engine
from include.sandbox.ports import free_port
from include.sandbox.state import State
from tests.cli.conftest import Dts, Night
from tests.observatory import SANDBOX

ROOT = Path(__file__).resolve().parents[2]


def test_without_a_database_named_it_says_what_to_set(bare_dts: Dts) -> None:
    result = bare_dts("status")
    assert (result.code, result.out) == (1, "")
    assert "DTS_OPS_DB_URL" in result.err
    assert len(result.err.splitlines()) == 1


def test_an_unreachable_database_is_named_without_its_password(bare_dts: Dts, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("DTS_OPS_DB_URL", f"postgresql://dts:hush-hush@127.0.0.1:{port}/ops_db")
    result = bare_dts("status")
    assert result.code == 1
    assert f"ops_db at 127.0.0.1:{port} cannot be reached" in result.err
    assert "DTS_OPS_DB_URL" in result.err
    assert "hush-hush" not in result.err
    assert len(result.err.splitlines()) == 1


def test_a_wrong_password_is_one_line_and_not_shown(
    bare_dts: Dts, ops_db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, tail = ops_db_url.split("@")
    user = head.split("//")[1].split(":")[0]
    monkeypatch.setenv("DTS_OPS_DB_URL", f"postgresql://{user}:not-it@{tail}")
    result = bare_dts("status")
    assert result.code == 1
    assert "password authentication failed" in result.err
    assert "not-it" not in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("url", ["nonsense", "mysql://dts:hush-hush@localhost/ops_db", ""])
def test_a_url_of_something_else_is_refused_without_its_password(
    bare_dts: Dts, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DTS_OPS_DB_URL", url)
    result = bare_dts("status")
    assert result.code == 1
    assert "DTS_OPS_DB_URL" in result.err
    assert "hush-hush" not in result.err


@pytest.mark.parametrize("rest", ["u:hush@h:ush@db:5432/ops_db", "u:hush@db:5432x/ops_db"])
def test_a_url_that_cannot_be_read_is_told_without_a_part_of_its_password(
    bare_dts: Dts, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    monkeypatch.setenv("DTS_OPS_DB_URL", f"postgresql+psycopg://{rest}")
    result = bare_dts("status")
    assert result.code == 1
    assert "%40" in result.err
    assert "ush" not in result.err
    assert len(result.err.splitlines()) == 1


def test_the_sandbox_that_runs_from_this_folder_is_meant(
    bare_dts: Dts, night: Night, ops_db_url: str, tmp_path: Path
) -> None:
    state = State(
        url="http://localhost:8080",
        users=(),
        ops_db_url=ops_db_url,
        topology=SANDBOX,
        s3={},
        locations={},
        workers={},
        ports={},
        supervisor_pid=os.getpid(),
        processes={},
    )
    (tmp_path / ".sandbox").mkdir()
    state.write(tmp_path / ".sandbox" / "state.json")
    assert bare_dts("explain", night.archived).code == 0
    assert str(SANDBOX) in bare_dts("topology", "show").out
    ops_db_engine(ops_db_url).dispose()


def test_a_state_file_of_another_version_is_as_none(bare_dts: Dts, tmp_path: Path) -> None:
    (tmp_path / ".sandbox").mkdir()
    (tmp_path / ".sandbox" / "state.json").write_text("{}")
    assert "DTS_OPS_DB_URL" in bare_dts("status").err


@pytest.mark.parametrize("arguments", [("statsu",), ("explain",), ("status", "--nonsense"), ("topology", "queues")])
def test_a_command_typed_wrongly_is_exit_code_2(bare_dts: Dts, arguments: tuple[str, ...]) -> None:
    result = bare_dts(*arguments)
    assert result.code == 2
    assert "Usage: dts" in result.err


def test_a_reader_that_has_seen_enough_is_no_error(ops_db_url: str, night: Night) -> None:
    program = "import sys; from include.cli import main; sys.stdin.readline(); sys.exit(main(['status']))"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "DTS_OPS_DB_URL": ops_db_url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write("go\n")
        process.stdin.close()
        errors = process.stderr.read()
    assert errors == ""


def test_dts_is_installed_and_speaks_plainly_in_a_pipe() -> None:
    dts = Path(sys.prefix) / "bin" / "dts"
    run = subprocess.run([dts, "--help"], capture_output=True, text=True, check=True, cwd="/")
    assert "explain" in run.stdout
    assert "\x1b" not in run.stdout
