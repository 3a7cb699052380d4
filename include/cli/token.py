"""`dts token`: tokens of services that call the API. Each is shown once, when it is made."""

from typing import Annotated

import typer
from sqlalchemy.orm import Session

from include.access.roles import Role, Scope
from include.access.tokens import make_token, revoke_token, tokens
from include.cli import paper
from include.cli.person import By
from include.cli.place import ops_db
from include.cli.retry import this_person
from include.cli.stage import AsJson, Until
from include.ops_db.tables import ServiceToken

SHOWN = [column.name for column in ServiceToken.__table__.columns if column.name != "sha256"]

app = typer.Typer(no_args_is_help=True, help="Tokens of services that call the API: create, list, revoke.")


@app.command("create")
def create(
    account: Annotated[
        str, typer.Argument(help="For whom it speaks: to file, a name of the topology's `filed_by`, such as primecam.")
    ],
    *,
    role: Annotated[Role, typer.Option(help="What it may do.")],
    until: Until,
    instrument: Annotated[
        list[str] | None, typer.Option(help="Of the role instrument: whose observations it files; may be repeated.")
    ] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="Narrows it; may be repeated. By default all that the role may.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="For whoever finds it in the list.")] = "",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and show it: it is kept as a hash only, so nobody can show it again."""
    with Session(ops_db()) as session, session.begin():
        made = make_token(
            session,
            account=account,
            role=role,
            instruments=instrument or (),
            scopes=scope or (),
            purpose=purpose,
            expires_at=until,
            made_by=by or this_person(),
        )
    if as_json:
        paper.as_json({"id": made.id, "token": made.secret})
        return
    paper.say(made.secret)
    paper.say(
        f"Token {made.id} of {account} as {role}, until {paper.moment(until)} UTC. Keep it: it is not shown again."
        f" It ends earlier with `dts token revoke {made.id}`."
    )


@app.command("list")
def list_tokens(
    *,
    ended_too: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the tokens, newest first: for whom, what for, until when, and when each was last used (UTC)."""
    with Session(ops_db()) as session:
        found = tokens(session, ended_too=ended_too)
    rows = [{name: getattr(each, name) for name in SHOWN} for each in found]
    if as_json:
        paper.as_json(rows)
        return
    if not rows:
        paper.say("No token." if ended_too else "No token that counts; --all shows those that are over.")
        return
    paper.table(
        ("token", "account", "role", "for", "scopes", "until (UTC)", "last used (UTC)", "purpose"),
        [
            (
                each.id,
                each.account,
                each.role,
                ", ".join(each.instruments),
                ", ".join(each.scopes) or "all",
                f"revoked {paper.moment(each.revoked_at)}" if each.revoked_at else paper.moment(each.expires_at),
                paper.moment(each.last_used_at) or "never",
                each.purpose,
            )
            for each in found
        ],
        numbers=("token",),
    )


@app.command("revoke")
def revoke(
    token: Annotated[int, typer.Argument(metavar="ID", min=1, help="Number of a token.")], *, by: By = None
) -> None:
    """End a token now: whoever has it is nobody from the next request on."""
    with Session(ops_db()) as session, session.begin():
        revoke_token(session, token_id=token, person=by or this_person())
    paper.say(f"Token {token} is revoked.")
