"""Airflow's components and the Celery workers as daemons."""

from pathlib import Path

from include.lanes import CONTROL_QUEUE, lanes_of_host
from include.sandbox.accounts import Account
from include.sandbox.process import Command
from include.sandbox.programs import Programs
from include.topology import Topology

COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
"""Arguments of `airflow` by name of the component."""

PRELOADED = "include.sandbox.preloaded"
"""What stands for the module `airflow` where forks import our code."""


def airflow_command(
    arguments: tuple[str, ...],
    *,
    name: str,
    log: Path,
    programs: Programs,
    environment: dict[str, str],
    account: Account | None,
    module: str = "airflow",
) -> Command:
    """Return how to run `airflow ...` as a daemon."""
    return Command(
        name=name,
        arguments=(programs.python, "-m", module, *arguments),
        log=log,
        environment={**programs.environment_variables, **environment},
        account=account,
        umask=0o007,
    )


def worker_arguments(*, host: str, queues: tuple[str, ...], concurrency: int) -> tuple[str, ...]:
    """Return the arguments of `airflow` for the worker that Celery knows as celery@`host`.

    Task logs are read from disk, so nobody serves them; one worker needs no gossip with the others.
    """
    names = ("--celery-hostname", host, "--queues", ",".join(queues))
    quiet = ("--skip-serve-logs", "--without-mingle", "--without-gossip")
    return ("celery", "worker", *names, "--concurrency", str(concurrency), *quiet)


def queues_of_host(topology: Topology, host: str) -> tuple[str, ...]:
    """Return what the worker of `host` listens to: its lanes, and `control` at the hosts of the first archive site."""
    lanes = tuple(lane.name for lane in lanes_of_host(topology, host))
    in_the_middle = topology.host(host).site == topology.archive_sites[0]
    return (*lanes, CONTROL_QUEUE) if in_the_middle else lanes
