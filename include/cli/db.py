"""`dts db`: bring ops-db to a version of its schema; back it up, restore it, prove a backup."""

from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import inspect, make_url, text

from include.backup import dump
from include.backup.contents import Contents
from include.backup.dump import back_up
from include.cli import paper
from include.cli.place import ops_db, ops_db_address, ops_db_url
from include.operations.decide import clock
from include.ops_db import migrate
from include.plurals import counted
from include.sandbox.programs import Programs

app = typer.Typer(help="The schema of ops-db, and its backups.", no_args_is_help=True)

Dump = Annotated[Path, typer.Argument(help="A file of `dts db backup`.")]


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


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; FILE.json beside it says what is in it.")],
) -> None:
    """Dump ops-db into a file, as it is at one moment, while work goes on."""
    found = back_up(ops_db_address(), file, programs=_wheel())
    paper.say(f"{file} holds ops-db as of {clock(found.taken_at)}: {_told(found)}. `dts db verify {file}` proves it.")


@app.command()
def restore(file: Dump) -> None:
    """Bring a dump into the empty database that DTS_OPS_DB_URL names. All of it, or nothing."""
    address = ops_db_address()
    found = dump.restore(address, file, programs=_wheel())
    paper.say(
        f"{address.database} at {address.host} is what ops-db was: {_told(found)}. Before work goes on: docs/backup.md."
    )


@app.command()
def verify(
    file: Dump,
    *,
    server: Annotated[
        str | None, typer.Option(help="URL of a server that may be filled (default: that of ops-db).")
    ] = None,
) -> None:
    """Prove a dump: restore it into a new database, count its rows, drop that database."""
    address = ops_db_address() if server is None else make_url(server)
    found = dump.verify(address, file, programs=_wheel())
    paper.say(f"{file} is whole, and can be restored: {_told(found)}.")


def _wheel() -> list[Path]:
    return [Programs.of_this_environment().postgres_folder / "bin"]


def _told(found: Contents) -> str:
    return f"{counted(sum(found.rows.values()), 'row')} in {counted(len(found.rows), 'table')}, schema {found.revision}"


def _revision() -> str:
    with ops_db().connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return "base"
        return connection.execute(text("select version_num from alembic_version")).scalar() or "base"


def _say_what_happened(before: str) -> None:
    address, after = ops_db_address(), _revision()
    change = f"is at {after}, as before" if before == after else f"went from {before} to {after}"
    paper.say(f"ops-db {address.database} at {address.host}:{address.port or 5432} {change}.")
