"""What `make` passes on: options, the caller's folders, none of the caller's settings. The environment is a stub."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUB = """#!/bin/bash
# Stands for the Python of .venv: the questions of .ci/environment are answered by a real one, the rest is shown.
if [[ $1 == -c ]]; then exec {python} "$@"; fi
printf '%s\\n' "$@"
env | grep -E '^(AIRFLOW|PG|DTS_|PYTHONPATH)' | sort
"""
PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or shutil.which("python3")
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in a folder with a space in its name, with an environment that is up to date."""
    root = tmp_path / "a clone"
    (root / ".ci").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", ".ci/environment"):
        shutil.copy2(ROOT / name, root / name)
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STUB.format(python=PYTHON))
    python.chmod(0o755)
    made_of = f"{root}\n\n{(root / 'requirements.lock').read_text()}"
    (root / ".venv" / ".made-of").write_text(made_of)
    return root


def make(*arguments: str, cwd: Path, **environment: str) -> list[str]:
    """Run make and return the lines that the stub printed."""
    run = subprocess.run(
        ["make", *arguments],
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in run.stdout.splitlines() if not line.startswith("make: ")]


def test_the_demo_gets_folders_as_the_caller_meant_them(clone: Path) -> None:
    lines = make("demo", "DATA=my data/ünï $HOME", "REPORT=/tmp/a report.json", cwd=clone)
    assert lines[:3] == ["-m", "include.sandbox.demo", "--seconds-setup"]
    assert float(lines[3]) < 10
    assert lines[4:] == ["--data", f"{clone}/my data/ünï $HOME", "--report", "/tmp/a report.json"]


def test_called_from_elsewhere_a_relative_folder_is_meant_from_there(clone: Path, tmp_path: Path) -> None:
    lines = make("-C", str(clone), "demo", "DATA=data", cwd=tmp_path, PWD=str(tmp_path))
    assert lines[-2:] == ["--data", f"{tmp_path}/data"]


def test_without_options_the_demo_gets_none(clone: Path) -> None:
    assert len(make("demo", cwd=clone)) == 4


def test_the_callers_settings_do_not_reach_it_but_the_sandboxs_ports_do(clone: Path) -> None:
    lines = make(
        "sandbox",
        cwd=clone,
        AIRFLOW_HOME="/elsewhere",
        AIRFLOW__CORE__EXECUTOR="LocalExecutor",
        PGHOST="elsewhere",
        DTS_OPS_DB_URL="postgresql://elsewhere",
        PYTHONPATH="/elsewhere",
        DTS_SANDBOX_PORT_UI="9090",
    )
    assert lines == ["-m", "include.sandbox", "run", "DTS_SANDBOX_PORT_UI=9090"]


@pytest.fixture
def files(clone: Path) -> list[str]:
    """A few tests of a clone, in folders old and new."""
    made = [f"tests/{name}" for name in ("a/test_1.py", "a/test_2.py", "new/test_3.py", "test_4.py", "z/y/test_5.py")]
    for file in (*made, "tests/end_to_end/test_6.py", "tests/commands/test_7.py", "tests/a/conftest.py"):
        (clone / file).parent.mkdir(parents=True, exist_ok=True)
        (clone / file).touch()
    return made


def test_the_shares_of_the_tests_are_all_of_them_once(clone: Path, files: list[str]) -> None:
    lines = make("test", cwd=clone)
    given = sorted(line for line in lines if line.startswith("tests/"))
    assert given == sorted([*files, "tests/commands", "tests/end_to_end"])
    assert lines.count("pytest") == 3


def test_the_slow_ones_run_beside_the_sandbox_too(clone: Path, files: list[str]) -> None:
    lines = make("test-slow", cwd=clone)
    assert {line for line in lines if line.startswith("tests/")} == {*files, "tests/commands", "tests/end_to_end"}
    assert lines.count("slow") == lines.count("pytest") == 2


def test_a_share_that_fails_fails_the_whole(clone: Path, files: list[str]) -> None:
    python = clone / ".venv" / "bin" / "python"
    for culprit in (files[0], files[1], "tests/end_to_end"):
        python.write_text(STUB.format(python=PYTHON) + f'[[ " $* " != *" {culprit} "* ]]\n')
        run = subprocess.run(["make", "test"], cwd=clone, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert run.returncode == 2, culprit
        assert run.stdout.splitlines().count("pytest") == 3


def test_an_environment_that_is_up_to_date_is_left_alone(clone: Path) -> None:
    python = clone / ".venv" / "bin" / "python"
    before = python.stat().st_mtime_ns
    assert make("environment", cwd=clone) == []
    assert python.stat().st_mtime_ns == before


def test_a_machine_without_a_fitting_python_is_told_what_to_install(clone: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "make", "cat", "cmp", "head", "flock", "dirname", "env", "grep", "sort"):
        found = shutil.which(name)
        assert found is not None, name
        (tools / name).symlink_to(found)
    script = clone / ".ci" / "environment"
    script.write_text(script.read_text().replace(" /usr/bin/python3.12 /usr/bin/python3.11", ""))
    (clone / ".venv" / ".made-of").write_text("something else")
    run = subprocess.run(
        ["bash", str(script), "environment"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "apt install python3" in run.stderr
