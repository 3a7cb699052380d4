"""The laboratory of the machine's tests."""

import pytest

from tests.observatory import Observatory
from tests.operations.laboratory import Laboratory


@pytest.fixture
def lab(observatory: Observatory) -> Laboratory:
    return Laboratory(observatory)
