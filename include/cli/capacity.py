"""`dts capacity`: what comes, goes and lies at each location, and for how long that can go on, also with an outage."""

from dataclasses import asdict
from datetime import UTC, datetime
from textwrap import wrap
from typing import Annotated

import typer

from include.cli import paper
from include.cli.place import applied_topology, ops_db
from include.lifecycle.capacity import Forecast, Lasting, forecast, outage_of
from include.ops_db.measurements import RATE_HOURS, how_full

WIDTH = 80
"""Columns that every terminal has."""


def capacity(
    *,
    link_down: Annotated[
        list[str],
        typer.Option("--link-down", metavar="ROUTE|SITE", help="As if this link were cut: 'ccat to us', or a site."),
    ] = [],  # noqa: B006 - Typer's own form
    archive_down: Annotated[
        list[str], typer.Option("--archive-down", metavar="LOCATION", help="As if this archive took nothing.")
    ] = [],  # noqa: B006 - the same
    hours: Annotated[float | None, typer.Option("--hours", min=0, help="How long that lasts.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: bytes, bytes a second, hours.")] = False,
) -> None:
    """Show what comes in, goes out and lies at each location, and when it is full; also with an outage."""
    with ops_db().connect() as connection:
        topology = applied_topology(connection)
        known = how_full(connection)
    outage = outage_of(topology, link_down=tuple(link_down), archive_down=tuple(archive_down))
    found = forecast(known, topology, outage=outage, now=datetime.now(UTC))
    if as_json:
        paper.as_json([asdict(each) | _after(each, hours) for each in found])
        return
    if not found:
        paper.say("No location was measured yet: its own hosts do that, as soon as their workers run.")
        return
    is_asked = bool(link_down or archive_down or hours is not None)
    columns = ["location", "in/h", "out/h", "stored", "free", "full in"]
    if is_asked:
        columns.append("then" if hours is None else f"{hours:g} h on")
    paper.table(columns, [_row(each, hours, is_asked=is_asked) for each in found], numbers=columns[1:])
    for why in dict.fromkeys(each.why for each in found if each.why):
        _say(f"{', '.join(each.location for each in found if each.why == why)}: {why}.")
    _say(f"Rates are of the last {RATE_HOURS} hours; ? where nobody knows, - for never.")


def _say(sentence: str) -> None:
    for line in wrap(sentence, WIDTH, subsequent_indent="  "):
        paper.say(line)


def _row(each: Forecast, hours: float | None, *, is_asked: bool) -> list[str]:
    now = each.present
    cells = [
        each.location,
        _per_hour(now.in_rate),
        _per_hour(now.out_rate),
        paper.size(each.stored_bytes),
        "?" if each.free_bytes is None else paper.size(each.free_bytes),
        _left(each, now),
    ]
    if not is_asked:
        return cells
    then = each.outage
    lasts = hours is not None and (then.hours_left is None or then.hours_left > hours)
    free = then.free_after(each.free_bytes, hours=hours) if hours is not None else None
    return [*cells, paper.size(free) if lasts and free is not None else _left(each, then)]


def _per_hour(rate: float | None) -> str:
    return "?" if rate is None else paper.size(round(rate * 3600))


def _left(each: Forecast, lasting: Lasting) -> str:
    if lasting.in_rate is None or each.free_bytes is None:
        return "?"
    return "-" if lasting.hours_left is None else f"{lasting.hours_left:,.0f} h"


def _after(each: Forecast, hours: float | None) -> dict[str, int | None]:
    return {} if hours is None else {"free_bytes_after": each.outage.free_after(each.free_bytes, hours=hours)}
