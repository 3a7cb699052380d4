"""The laboratory of the machine's tests."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.observatory import Observatory
from tests.operations.laboratory import Laboratory


@pytest.fixture
def lab(observatory: Observatory) -> Laboratory:
    return Laboratory(observatory)


@pytest.fixture
def small(engine: Engine, tmp_path: Path) -> Laboratory:
    """Batches of two operations or 100 bytes."""
    return Laboratory(Observatory.build(engine, tmp_path / "observatory", batch_operations=2, batch_bytes=100))
