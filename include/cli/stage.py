"""`dts stage`: bring packages to a PROCESSING location until a date."""

from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from include.cli import paper
from include.cli.person import By, asking
from include.cli.place import ops_db
from include.dates import moment_of
from include.errors import BadInputError
from include.explain.staging import explain_job
from include.explain.subjects import packages_asked_for
from include.lifecycle.staging_jobs import request_staging


def _moment(text: str) -> datetime:
    """Read a date (until its end) or a date and time; without a zone it is UTC."""
    try:
        return moment_of(text, to_its_end=True)
    except BadInputError as error:
        raise typer.BadParameter(str(error)) from error


Until = Annotated[
    datetime, typer.Option(parser=_moment, metavar="DATE", help="2026-12-31 (to its end), or 2026-12-31T18:00; UTC.")
]
Reason = Annotated[str, typer.Option(help="For whoever wonders later.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def stage(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="SUBJECT...",
            help="Packages (or package:ID), UUIDs of observations, or an instrument and when its observations began:"
            " primecam:2026-11-20, primecam:2026-11-20T18:00..2026-11-21.",
        ),
    ],
    *,
    to: Annotated[
        str, typer.Option(metavar="LOCATION", help="Full name of a PROCESSING location: cologne_processing.")
    ],
    until: Until,
    reason: Reason = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Also if there is no room for it now, or no archive has it yet.")
    ] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Bring packages from the archive to a PROCESSING location; they stay until then, longer if others want them."""
    who = asking(by, reason=reason)
    with Session(ops_db()) as session, session.begin():
        asked = packages_asked_for(session.connection(), subjects)
        job_id = request_staging(
            session,
            packages=asked.named,
            also=asked.found,
            location=to,
            until=until,
            requested_by=who.person,
            reason=reason,
            may_wait=wait,
            asked_through=who.through,
        )
        job = explain_job(session.connection(), job_id)
    if as_json:
        paper.as_json(job)
        return
    paper.say(f"StagingJob {job.id} at {to} until {paper.moment(until)} UTC. {job.sentence}")
    paper.say(f"`dts staging show {job.id}` tells how far it is.")
