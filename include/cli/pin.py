"""`dts pin`, `dts unpin`: a person says that something must stay, and that it need not any longer."""

from datetime import datetime
from typing import Annotated

import typer
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from include.cli import paper
from include.cli.place import ops_db
from include.cli.retry import this_person
from include.dates import moment_of
from include.errors import BadInputError
from include.explain.find import SubjectKind, find_package, observation_id_of, subject_of
from include.lifecycle.pins import pin as keep
from include.lifecycle.pins import release
from include.lifecycle.subjects import LifecycleSubject
from include.plurals import counted

Subject = Annotated[
    str,
    typer.Argument(metavar="OBSERVATION|PACKAGE", help="UUID of an observation; name of a package, or package:ID."),
]
Location = Annotated[
    str | None, typer.Option(metavar="LOCATION", help="Full name of one location; by default everywhere.")
]
By = Annotated[str | None, typer.Option(help="Who asks; by default the account that types.")]


def _moment(text: str) -> datetime:
    try:
        return moment_of(text, to_its_end=True)
    except BadInputError as error:
        raise typer.BadParameter(str(error)) from error


def pin(
    subject: Subject,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it must stay; everybody sees it.")],
    location: Location = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            parser=_moment,
            metavar="DATE",
            help="2026-12-31 (to its end), or 2026-12-31T18:00; UTC. By default until it is unpinned.",
        ),
    ] = None,
    by: By = None,
) -> None:
    """Keep a package, or an observation's packages, from being deleted. `dts policy show` lists the pins."""
    with Session(ops_db()) as session, session.begin():
        which = subject_in(session.connection(), subject)
        done = keep(session, which, location=location, reason=reason, person=by or this_person(), until=until)
    ends = f"until {paper.moment(until)} UTC" if until else f"until `dts unpin {done.id}`"
    packages = counted(done.packages, "package")
    paper.say(f"Pin {done.id}: {packages} stay{'s' * (done.packages == 1)} at {location or 'every location'} {ends}.")
    for place, count in done.too_late_at:
        paper.say(f"Too late at {place}: {counted(count, 'package')} of it had gone or begun to go before.")


def unpin(
    subject: Annotated[
        str, typer.Argument(metavar="OBSERVATION|PACKAGE|PIN", help="What was pinned, or the number of the pin.")
    ],
    *,
    location: Location = None,
    by: By = None,
) -> None:
    """Release a pin, or all pins of a package or an observation. Who had pinned it, and why, stays on record."""
    with Session(ops_db()) as session, session.begin():
        is_pin = subject.isdecimal()
        which = LifecycleSubject() if is_pin else subject_in(session.connection(), subject)
        released = release(
            session,
            person=by or this_person(),
            pin_id=int(subject) if is_pin else None,
            subject=which,
            location=location,
        )
    if not released:
        raise BadInputError(
            f"{subject} is not pinned{f' at {location}' if location else ''}; `dts policy show` lists pins."
        )
    for number in released:
        paper.say(f"Pin {number} is released.")


def subject_in(connection: Connection, word: str) -> LifecycleSubject:
    """Tell which package or observation `word` means.

    Raises:
        BadInputError: neither; the message has the nearest names.
    """
    kind, word = subject_of(word)
    if kind is SubjectKind.OBSERVATION:
        return LifecycleSubject(executed_obs_unit_id=observation_id_of(word))
    return LifecycleSubject(raw_data_package_id=find_package(connection, word))
