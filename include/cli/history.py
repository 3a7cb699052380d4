"""`dts history`: the life of a file, a package or an observation, in one screen."""

import textwrap
from typing import Annotated

import typer

from include.cli import paper
from include.cli.place import ops_db
from include.cli.stage import AsJson
from include.explain.history import Event, events_of, taken_together
from include.explain.history_subjects import history_subject
from include.explain.next_step import where
from include.explain.packages import explain_package

WIDTH = 80
INDENT = " " * 17


def history(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="FILE|PACKAGE|OBSERVATION",
            help="Path of a file as it was filed, or its UUID; name of a package; UUID of an observation.",
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Tell what happened to it, oldest first (UTC): filed, packaged, moved, verified, archived, staged, deleted."""
    with ops_db().connect() as connection:
        found = history_subject(connection, subject)
        events = events_of(connection, found.packages)
        one = len(found.packages) == 1
        now = where(explain_package(connection, found.packages[0])) if one else ""
    if as_json:
        paper.as_json({"subject": found.title, "about": found.about, "now": now, "events": events})
        return
    paper.say(found.title, style="bold")
    _wrapped(f"{found.about} {now}".strip(), indent="")
    paper.say()
    for event in events if one else taken_together(events):
        _wrapped(f"{event.at:%Y-%m-%d %H:%M} {_sentence(event)}", indent=INDENT)
    if not events:
        paper.say("Nothing has happened to it yet.")


def _sentence(event: Event) -> str:
    by = f" by {event.by}" if event.by else ""
    run = f" (run {event.run_id})" if event.run_id and event.evidence else ""
    last = f", the last {event.last_at:%Y-%m-%d %H:%M}" if event.last_at else ""
    said = f": {event.said}" if event.said else ""
    place = "" if event.place == "everywhere" else f" at {event.place}"
    return f"{event.what}{place}{by}{said}{run}{last}"


def _wrapped(sentence: str, *, indent: str) -> None:
    for line in textwrap.wrap(sentence, width=WIDTH, subsequent_indent=indent, break_on_hyphens=False):
        paper.say(line)
