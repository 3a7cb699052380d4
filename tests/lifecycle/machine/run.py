"""Running histories, for a test or for `make proof`."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Engine

from include.lifecycle.gate import allow_deletion
from tests.lifecycle.machine.histories import Histories
from tests.lifecycle.machine.judge import Gate, Judge
from tests.lifecycle.machine.policies import POLICIES
from tests.lifecycle.machine.tally import Tally
from tests.lifecycle.machine.workers import Workers
from tests.lifecycle.machine.world import World

AT_A_TIME = 8
"""From its tenth history on, hypothesis varies each five times: of a thousand in one run 250 begin in different ways,
of a thousand in runs of eight 850. It also remembers each history of a run, and grows slower with them."""


@contextmanager
def court(engine: Engine, root: Path, *, gate: Gate = allow_deletion) -> Iterator[type[Histories]]:
    """Make a world in an empty ops-db and a folder; give the machine that makes histories there and judges `gate`."""
    tally = Tally()
    world = World(engine, root, POLICIES)
    workers = Workers(world, tally)
    judge = Judge(world, workers, tally, gate=gate)
    with ExitStack() as stack:
        stack.enter_context(_silence())
        stack.enter_context(workers.hired())
        stack.enter_context(judge.sitting())
        yield type("Histories", (Histories,), {"world": world, "workers": workers, "judge": judge})


def run(machine: type[Histories], *, histories: int, number: int, shrink: bool = True) -> Tally:
    """Run so many histories, the same for the same `number`; return what happened.

    Raises:
        AssertionError: something is wrong; the shortest history that shows it was printed, unless `shrink` is False.
    """
    chosen = settings(
        stateful_step_count=8,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        report_multiple_bugs=False,
    )
    for begin in range(0, histories, AT_A_TIME):
        some = settings(chosen, max_examples=min(AT_A_TIME, histories - begin))
        run_state_machine_as_test(seed(number + (begin << 20))(partial(machine)), settings=some)
    return machine.judge.tally


@contextmanager
def _silence() -> Iterator[None]:
    """Of thousands of refusals, each with its traceback."""
    was, logging.root.manager.disable = logging.root.manager.disable, logging.CRITICAL
    yield
    logging.root.manager.disable = was
