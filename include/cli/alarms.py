"""`dts alarms`: what people must know now, since when, why, and what to do."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy import Connection

from include.cli import paper
from include.cli.person import By
from include.cli.place import applied_topology, ops_db
from include.cli.retry import this_person
from include.cli.stage import AsJson
from include.notifications import ledger
from include.notifications.alarm import Alarm
from include.notifications.message import runbook_of
from include.notifications.watch import last_judged_at

LATE = timedelta(minutes=3)
"""Judged every minute: after this somebody should look why not."""

app = typer.Typer(help="What people must know now, since when, why, and what to do.")


@app.callback(invoke_without_command=True)
def list_alarms(
    context: typer.Context,
    *,
    cleared: Annotated[int, typer.Option(min=0, max=10_000, help="Also the last so many that are over.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the open alarms, the most urgent first."""
    if context.invoked_subcommand is not None:
        return
    with ops_db().connect() as connection:
        notifications = applied_topology(connection).notifications
        found = ledger.open_alarms(connection) + (ledger.cleared_alarms(connection, most=cleared) if cleared else [])
        judged_at = last_judged_at(connection)
    shown = [(alarm, runbook_of(alarm.rule, notifications=notifications)) for alarm in found]
    if as_json:
        alarms = [{"alarm": alarm, "runbook": runbook} for alarm, runbook in shown]
        paper.as_json({"judged_at": judged_at, "alarms": alarms})
        return
    for alarm, runbook in shown:
        _show(alarm, runbook=runbook)
    if not found:
        paper.say("No alarm is open.")
    paper.say(_judged(judged_at), style=None if _is_current(judged_at) else "bold red")


def _show(alarm: Alarm, *, runbook: str) -> None:
    paper.say(f"{alarm.severity}  {alarm.key}", style="bold red" if alarm.is_open else "bold")
    paper.say(f"  {alarm.sentence}")
    until = f" until {paper.moment(alarm.cleared_at)}" if alarm.cleared_at else ""
    seen = f"; seen by {alarm.acknowledged_by}" if alarm.acknowledged_by else ""
    paper.say(f"  Since {paper.moment(alarm.since)} UTC{until}{seen}. What to do: {runbook}")
    paper.say()


def _is_current(judged_at: datetime | None) -> bool:
    return judged_at is not None and datetime.now(UTC) - judged_at < LATE


def _judged(judged_at: datetime | None) -> str:
    if judged_at is None:
        return "Alarms were never judged: does the DAG monitoring run?"
    late = "" if _is_current(judged_at) else " That is late: does the DAG monitoring run?"
    return f"Judged {paper.moment(judged_at)} UTC.{late}"


@app.command("acknowledge")
def acknowledge(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="As `dts alarms` shows them.")],
    *,
    reason: Annotated[str, typer.Option(help="For whoever wonders later.")] = "",
    by: By = None,
) -> None:
    """Say that somebody has seen alarms: nobody is told of them any more; that of a refused filing ends."""
    with ops_db().begin() as connection:
        ledger.acknowledge(connection, keys, person=by or this_person(), reason=reason)
    paper.say(f"Acknowledged: {', '.join(keys)}.")


def count_line(connection: Connection) -> str | None:
    """Return a line for `dts status`; None: there is nothing to say."""
    count = len(ledger.open_alarms(connection))
    return f"{count} open: `dts alarms` says since when, why, and what to do." if count else None
