"""`dts`: what people type. One file per group of commands; each asks ops-db or the topology, and prints.

===========  =========================================================================================================
status       a table per stage and site, and the filings that were refused
alarms       what people must know now, since when, why, what to do; acknowledge one
health       is it ready? by its exit code, too (0 ready, 3 degraded, 4 not ready); heartbeats of the worker hosts
explain      where an observation, a package or an operation is, why, and what comes next
history      the life of a file, a package or an observation, from filing to deletion
flag         have an observation's packages overtake others
retry        try failed operations again
delete       what would go from where, and why not; or ask that packages go, through the gate
brake        questions of the brake on deletion: list, show, approve, refuse, lift
stage        bring packages to a PROCESSING location until a date
staging      list, show, extend, release StagingJobs
pin          keep packages from being deleted; unpin: no longer
override     two people let copies go with fewer archive copies than policy asks for
policy       what is kept where and for how long; what another topology file would free
capacity     what comes in, goes out and lies at each location, and when it is full, also with an outage
doctor       look at this host: kernel, links, archives, disks, clock, programs, with what to change
topology     validate, apply, show the topology; queues of a worker; pools for Airflow
token        tokens of services that call the API: create, list, revoke
db           bring ops-db to a version of its schema; back it up, restore it, prove a backup
sandbox      start, stop, show the sandbox, and remove what it left
===========  =========================================================================================================

Exit codes: 0; 1 with one sentence on stderr; 2 for a command that was typed wrongly. Without DTS_OPS_DB_URL and
DTS_TOPOLOGY the sandbox that runs from this folder, or from this checkout, is meant.
"""

import sys
from collections.abc import Sequence

import typer

from include.cli import (
    alarms,
    brake,
    capacity,
    db,
    delete,
    doctor,
    explain,
    flag,
    health,
    history,
    override,
    pin,
    policy,
    retry,
    sandbox,
    stage,
    staging,
    status,
    token,
    topology,
)
from include.cli.trouble import one_line_errors

app = typer.Typer(
    name="dts",
    help="The CCAT data transfer system: where data is, why, and what comes next.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(status.status)
app.command("health")(health.show)
app.command()(explain.explain)
app.command()(history.history)
app.command()(flag.flag)
app.command()(retry.retry)
app.command()(stage.stage)
app.command()(pin.pin)
app.command()(pin.unpin)
app.add_typer(alarms.app, name="alarms")
app.add_typer(override.app, name="override")
app.add_typer(policy.app, name="policy")
app.command()(doctor.doctor)
app.add_typer(staging.app, name="staging")
app.command()(delete.delete)
app.command()(capacity.capacity)
app.add_typer(brake.app, name="brake")
app.add_typer(topology.app, name="topology")
app.add_typer(token.app, name="token")
app.add_typer(db.app, name="db")
app.add_typer(sandbox.app, name="sandbox")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `arguments` default to the process's own."""
    with one_line_errors() as trouble:
        try:
            app(args=list(arguments) if arguments is not None else None, prog_name="dts")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 1 if trouble else 0
