"""`dts override`: two people together let copies go with fewer archive copies than policy asks for."""

import os
import pwd
import socket
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from include.cli import paper
from include.cli.pin import By, Subject, subject_in
from include.cli.place import ops_db
from include.cli.retry import this_person
from include.lifecycle import overrides
from include.plurals import counted

LOGIN_UID = Path("/proc/self/loginuid")
"""Set once, when somebody logs in: sudo and su leave it."""
NOBODY_LOGGED_IN = 2**32 - 1

app = typer.Typer(
    help="In an emergency: let copies go with fewer archive copies than policy asks for, two people together.",
    no_args_is_help=True,
)


@app.command()
def ask(
    subject: Subject,
    *,
    location: Annotated[str, typer.Option(metavar="LOCATION", help="Full name of the location that needs the room.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Stands in the record of each deletion.")],
    by: By = None,
) -> None:
    """Ask; it means nothing until another person confirms it, and nothing any more after 24 hours."""
    with Session(ops_db()) as session, session.begin():
        which = subject_in(session.connection(), subject)
        asked = overrides.ask(
            session, which, location=location, reason=reason, person=by or this_person(), account=_account()
        )
    paper.say(
        f"Override {asked.id} is asked for: {counted(asked.packages, 'package')} at {location}. Another person confirms"
        f" it before {paper.moment(asked.expires_at)} UTC: `dts override confirm {asked.id}`."
    )


@app.command()
def confirm(
    override: Annotated[int, typer.Argument(metavar="NUMBER", help="What `dts override ask` said.")],
    *,
    by: By = None,
) -> None:
    """Confirm what another person asked for: one verified archive copy is enough there, for the hours that are left."""
    with Session(ops_db()) as session, session.begin():
        done = overrides.confirm(session, override, person=by or this_person(), account=_account())
    paper.say(
        f"Override {done.id} is in force until {paper.moment(done.expires_at)} UTC for"
        f" {counted(done.packages, 'package')}. All other questions of the gate are asked as ever."
    )


def _account() -> str:
    """Say who is at the keyboard: who logged in, whatever account and environment the shell has by now (sudo, su)."""
    try:
        login = int(LOGIN_UID.read_text())
    except (OSError, ValueError):  # not on Linux
        login = NOBODY_LOGGED_IN
    uid = os.getuid() if login == NOBODY_LOGGED_IN else login
    try:
        account = pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container
        account = f"uid {uid}"
    return f"{account}@{socket.gethostname()}"
