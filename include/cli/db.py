"""`dts db`: bring ops-db to a version of its schema."""

from typing import Annotated

import typer
from sqlalchemy import inspect, text

from include.cli import paper
from include.cli.place import ops_db, ops_db_address, ops_db_url
from include.ops_db import migrate

app = typer.Typer(help="The schema of ops-db.", no_args_is_help=True)


@app.command()
def upgrade(revision: Annotated[str, typer.Argument(help="A version of the schema.")] = "head") -> None:
    """Bring ops-db up to a version of its schema, by default the newest. Harmless to repeat."""
    before = _revision()
    migrate.upgrade(ops_db_url(), revision=revision)
    _say_what_happened(before)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="A version of the schema; `base` drops every table.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take ops-db back down to an earlier version of its schema. What only the newer one can hold is lost."""
    before = _revision()
    address = ops_db_address()
    if not yes:
        what = "drops every table and all that is known about the data" if revision == "base" else "may lose rows"
        typer.confirm(f"Taking {address.database} at {address.host} down to {revision} {what}. Go on?", abort=True)
    migrate.downgrade(ops_db_url(), revision=revision)
    _say_what_happened(before)


def _revision() -> str:
    with ops_db().connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return "base"
        return connection.execute(text("select version_num from alembic_version")).scalar() or "base"


def _say_what_happened(before: str) -> None:
    address, after = ops_db_address(), _revision()
    change = f"is at {after}, as before" if before == after else f"went from {before} to {after}"
    paper.say(f"ops-db {address.database} at {address.host}:{address.port or 5432} {change}.")
