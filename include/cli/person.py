"""Who types: the account, or whom `--by` names; both are kept."""

import socket
from typing import Annotated

import typer

from include.cli.retry import this_person
from include.errors import BadInputError
from include.lifecycle.staging_jobs import Asking

By = Annotated[str | None, typer.Option(help="Who asks; by default the account that types.")]


def asking(by: str | None, *, reason: str = "") -> Asking:
    """Return who asks, and through which account of which host.

    Raises:
        BadInputError: `--by` is not given, and the account has no name.
    """
    try:
        account = this_person()
    except BadInputError:
        if by is None:
            raise
        account = "an account without a name"
    return Asking(person=account if by is None else by, reason=reason, through=f"dts, {account}@{socket.gethostname()}")
