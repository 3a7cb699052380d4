"""`dts stage`: bring packages to a PROCESSING location until a date."""

from datetime import UTC, datetime, time
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from include.cli import paper
from include.cli.place import ops_db
from include.cli.retry import this_person
from include.explain.find import find_package, name_of_package
from include.lifecycle.staging_jobs import request_staging
from include.plurals import counted


def _moment(text: str) -> datetime:
    """Read a date (until its end) or a date and time; without a zone it is UTC."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no date; write 2026-12-31, or 2026-12-31T18:00 (UTC).") from error
    if "T" not in text and ":" not in text:
        when = datetime.combine(when, time.max)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def stage(
    packages: Annotated[list[str], typer.Argument(help="Names of packages, or package:ID.")],
    *,
    to: Annotated[
        str, typer.Option(metavar="LOCATION", help="Full name of a PROCESSING location: cologne_processing.")
    ],
    until: Annotated[
        datetime,
        typer.Option(parser=_moment, metavar="DATE", help="2026-12-31 (to its end), or 2026-12-31T18:00; UTC."),
    ],
    reason: Annotated[str, typer.Option(help="For whoever wonders later.")] = "",
    by: Annotated[str | None, typer.Option(help="Who asks; by default the account that types.")] = None,
) -> None:
    """Bring packages from the archive to a PROCESSING location; they stay until then, longer if others want them."""
    with Session(ops_db()) as session, session.begin():
        connection = session.connection()
        names = [name_of_package(connection, find_package(connection, word)) for word in packages]
        job = request_staging(
            session, packages=names, location=to, until=until, requested_by=by or this_person(), reason=reason
        )
    paper.say(f"StagingJob {job}: {counted(len(names), 'package')} at {to} until {paper.moment(until)} UTC.")
    paper.say(f"`dts explain {names[0]}` shows when it is there.")
