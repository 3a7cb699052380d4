"""A VictoriaMetrics of its own for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metrics.victoria import Victoria, victoria_running


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[Victoria]:
    with victoria_running(tmp_path / "victoria") as server:
        yield server
