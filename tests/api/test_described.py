"""The API does what its description says, whatever is sent to it."""

import subprocess
import sys
from pathlib import Path

import pytest

from include.access.roles import Role
from tests.api.conftest import Api
from tests.api.served import served
from tests.lifecycle.archived import archived_package

PROGRAM = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")


def run(api: Api, folder: Path, *options: str) -> None:
    """Have schemathesis look for a contradiction, as an administrator, in an ops-db with something in it."""
    archived_package(api.observatory)
    api.decisions.most_seconds = 0.05
    with served(api) as address:
        found = subprocess.run(
            [
                PROGRAM, "--config-file", CONFIG, "run", f"{address}/openapi.json", "--header",
                f"Authorization: Bearer {api.token('admin', Role.ADMIN)}", "--no-color", "--seed", "1",
                "--request-timeout", "20", *options,
            ],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]


def test_no_contradiction_is_found_in_a_short_look(api: Api, tmp_path: Path) -> None:
    run(api, tmp_path, "--phases", "examples,fuzzing", "--max-examples", "3")


@pytest.mark.slow
def test_no_contradiction_is_found_in_a_long_look(api: Api, tmp_path: Path) -> None:
    run(api, tmp_path, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "15")
