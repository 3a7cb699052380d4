"""`dts health`: is it ready? For people, and by its exit code for scripts."""

import json
from typing import Annotated, Any

import typer
from sqlalchemy.exc import DBAPIError

from include.cli import paper
from include.cli.place import applied_topology, ops_db
from include.health.state import Health, health, unreachable
from include.operations.decide import clock


def show(*, as_json: Annotated[bool, typer.Option("--json", help="As JSON, for scripts.")] = False) -> None:
    """Tell how the system is. Exit codes: 0 ready, 3 degraded, 4 not ready."""
    try:
        with ops_db().connect() as connection:
            found = health(connection, topology=applied_topology(connection))
    except DBAPIError as error:
        found = unreachable(f"ops-db does not answer: {str(error.orig).strip().partition(chr(10))[0]}")
    if as_json:
        typer.echo(json.dumps(_document(found), indent=2))
    else:
        _show(found)
    raise typer.Exit(found.state.exit_code)


def _document(found: Health) -> dict[str, Any]:
    return {
        "state": found.state,
        "reasons": list(found.reasons),
        "hosts": {
            name: {"fresh": beat.is_fresh, "age_seconds": beat.age_seconds} for name, beat in found.hosts.items()
        },
    }


def _show(found: Health) -> None:
    paper.say(f"The data transfer system is {found.state.replace('_', ' ')}.")
    for reason in found.reasons:
        paper.say(f"- {reason}")
    if found.hosts:
        paper.heading("Worker hosts")
        paper.table(
            ("host", "heartbeat (UTC)", "version", "queues", "clock ahead", "free", "is"),
            [
                (
                    name,
                    clock(beat.beaten_at),
                    beat.version,
                    len(beat.queues),
                    f"{beat.clock_ahead_seconds:.1f} s",
                    paper.size(beat.free_bytes) or "?",
                    "stopped" if beat.stopped_at else "there" if beat.is_fresh else "silent",
                )
                for name, beat in sorted(found.hosts.items())
            ],
            numbers=("queues", "clock ahead", "free"),
        )
