"""Every line that is logged while an operation is worked on carries its number, as Airflow's logs show it."""

import json
import logging
from io import StringIO

import pytest
import structlog

from include.operations.stage import Done, Work
from tests.observatory import Observatory
from tests.operations.laboratory import FakeStage, Laboratory

PLACE = "cologne_archive"


@pytest.fixture
def lines() -> StringIO:
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.contextvars.merge_contextvars],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


def test_each_line_carries_the_operation_and_the_attempt(observatory: Observatory, lines: StringIO) -> None:
    def work(_: Work) -> Done:
        logging.getLogger("some.library").info("It does something.")
        return Done(explanation="It is done.", size_bytes=1)

    lab = Laboratory(observatory, FakeStage(work=work))
    first, second = lab.operations(2)
    observatory.run(lab.stage, PLACE)
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    does = [line for line in told if line["event"] == "It does something."]
    assert [(line["operation"], line["attempt"]) for line in does] == [(first, 1), (second, 1)]
    (ends,) = [line for line in told if line["event"].startswith("Batch done")]
    assert "operation" not in ends
