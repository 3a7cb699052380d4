"""Every kind of operation that has lanes has a stage."""

from typing import cast

import pytest

from include.errors import BadInputError
from include.lanes import PLACES
from include.stages import stage_of
from include.topology import OperationKind


@pytest.mark.parametrize("kind", PLACES)
def test_a_kind_with_lanes_has_a_stage_of_that_kind_and_a_runbook(kind: OperationKind) -> None:
    stage = stage_of(kind)
    assert kind == stage.KIND
    assert stage.__doc__
    assert "repeat" in stage.__doc__


def test_a_kind_without_a_stage_is_refused() -> None:
    with pytest.raises(BadInputError, match="polishing"):
        stage_of(cast(OperationKind, "polishing"))
