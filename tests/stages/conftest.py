"""Fixtures of the stages' tests."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.observatory import Observatory
from tests.stages.registered import FILES


@pytest.fixture
def patient(engine: Engine, tmp_path: Path) -> Observatory:
    """Bundles stay open for long and close at 100 bytes."""
    return Observatory.build(engine, tmp_path / "patient", bundle_max_age_seconds=600, bundle_max_bytes=100)


@pytest.fixture
def filed(observatory: Observatory) -> Observatory:
    """With FILES on the source's disk."""
    observatory.put_files(FILES)
    return observatory
