"""`dts flag`: have an observation overtake others."""

from typing import Annotated

import typer

from include.cli import paper
from include.cli.place import ops_db
from include.cli.retry import this_person
from include.errors import BadInputError
from include.explain.find import observation_id_of
from include.ops_db.urgency import flag as flag_observation
from include.ops_db.urgency import unflag


def flag(
    observation: Annotated[str, typer.Argument(metavar="OBSERVATION", help="UUID of an observation.")],
    *,
    reason: Annotated[str | None, typer.Option(help="Why it is urgent; everybody sees it.", metavar="TEXT")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="It overtakes no more.")] = False,
    by: Annotated[str | None, typer.Option(help="Who asks; by default the account that types.")] = None,
) -> None:
    """Have an observation's packages overtake all others, at every stage, until the flag is removed."""
    if remove == (reason is not None):
        raise typer.BadParameter("Give --reason TEXT to flag it, or --remove to take the flag away: one of them.")
    if reason is not None and not reason.strip():
        raise typer.BadParameter("Say why, in a few words: --reason TEXT.")
    which = observation_id_of(observation)
    with ops_db().begin() as connection:
        if reason is None:
            flagged = unflag(connection, which)
        else:
            flagged = flag_observation(connection, which, person=by or this_person(), reason=reason.strip())
    if not flagged.is_known:
        raise BadInputError(
            f"ops-db does not know an observation {which}: nothing of it was accepted yet. `dts explain {which}` shows"
            " its filings."
        )
    if not remove:
        paper.say(f"Observation {which} is flagged: the next plan of each stage lets its packages overtake.")
    elif flagged.flagged_at is None:
        paper.say(f"Observation {which} was not flagged; nothing changed.")
    else:
        paper.say(f"Observation {which} is flagged no more: its packages wait for their turn like others.")
