"""Whatever happens in whatever order, nothing goes that must stay; and what may go does go."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.lifecycle.machine.run import court, run
from tests.lifecycle.machine.world import PROCESSING

HISTORIES = 200
"""`make proof` runs 10,000, others each time."""


@pytest.mark.timeout(900)
def test_no_history_deletes_what_must_stay_and_what_may_go_goes(engine: Engine, tmp_path: Path):
    with court(engine, tmp_path / "observatory") as machine:
        tally = run(machine, histories=HISTORIES, number=1)
    assert tally.wrong_deletions == tally.wrong_refusals == 0
    # It is worth nothing if nothing happens.
    assert tally.histories >= HISTORIES
    assert min(tally.allowed, sum(tally.refused.values()), tally.killed, tally.races) > HISTORIES / 20, tally


def test_what_is_staged_anew_lies_where_the_judge_looks(engine: Engine, tmp_path: Path):
    with court(engine, tmp_path / "observatory") as machine:
        history = machine()
        history.begin(
            policy="two at two", planned=True, trouble="none", archive="us_archive", seen_to=PROCESSING, heals=0
        )
        assert [package for package in history.world.packages if history.world.is_good(package, PROCESSING)] == []
        for package in (0, 1):
            history.somebody_asks_for_a_package(package=package)
        history.staging_runs(steps=-1)
        assert all(history.world.is_good(package, PROCESSING) for package in history.world.packages)
        for _ in range(2):
            history.days_pass(days=1)
        history.teardown()
