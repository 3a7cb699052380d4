"""`dts retry`: a person asks for another try of what failed."""

import getpass
from typing import Annotated

import typer
from sqlalchemy import Engine, text

from include.cli import paper
from include.cli.place import ops_db
from include.errors import BadInputError
from include.explain.find import find_package, operation_id_of
from include.operations.record import reset

ALL_FAILED = text("select id from operation where status = 'failed' order by id")

FAILED_OF_PACKAGE = text(
    """
    select o.id from operation o
    where o.status = 'failed' and (o.raw_data_package_id = :package_id
      or exists (select from physical_copy c where c.raw_data_package_id = :package_id and c.id = o.physical_copy_id)
      or exists (select from data_transfer_package_member m where m.raw_data_package_id = :package_id
                 and m.data_transfer_package_id = o.data_transfer_package_id)
      or exists (select from data_transfer_package_member m join data_transfer t using (data_transfer_package_id)
                 where m.raw_data_package_id = :package_id and t.id = o.data_transfer_id))
    order by o.id
    """
)

STATES = text("select id, status, explanation from operation where id = any(:ids)")


def this_person() -> str:
    """Return the name of whoever types."""
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:  # an account without a name, in a container
        raise BadInputError("This account has no name: say who you are with --by.") from error


def retry(
    operations: Annotated[
        list[str] | None, typer.Argument(help="Numbers of operations, as `dts explain` shows them.")
    ] = None,
    *,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="Every failed operation.")] = False,
    package: Annotated[str | None, typer.Option(help="The failed operations of this package.")] = None,
    by: Annotated[str | None, typer.Option(help="Who asks; by default the account that types.")] = None,
    reason: Annotated[str, typer.Option(help="For whoever wonders later.")] = "dts retry",
) -> None:
    """Try failed operations again, with a fresh budget; also those that pause before their next try."""
    asked = [bool(operations), all_failed, package is not None]
    if sum(asked) != 1:
        raise typer.BadParameter("Give numbers of operations, or --all-failed, or --package NAME: exactly one of them.")
    engine = ops_db()
    ids = _chosen(engine, operations=operations or [], package=package)
    done = reset(engine, operation_ids=ids, person=by or this_person(), reason=reason)
    for operation_id in done:
        paper.say(f"operation {operation_id}: pending again; the next plan of its lane proposes it.")
    if not ids:
        paper.say("Nothing has failed.")
    _say_why_not(engine, ids=[operation_id for operation_id in ids if operation_id not in done])


def _chosen(engine: Engine, *, operations: list[str], package: str | None) -> list[int]:
    with engine.connect() as connection:
        if operations:
            return [operation_id_of(word) for word in operations]
        if package is None:
            return list(connection.execute(ALL_FAILED).scalars())
        return list(connection.execute(FAILED_OF_PACKAGE, {"package_id": find_package(connection, package)}).scalars())


def _say_why_not(engine: Engine, *, ids: list[int]) -> None:
    with engine.connect() as connection:
        states = {row.id: row for row in connection.execute(STATES, {"ids": ids})}
    for operation_id, row in states.items():
        paper.say(f"operation {operation_id}: left as it is, {row.status}. {row.explanation}")
    if unknown := [str(operation_id) for operation_id in ids if operation_id not in states]:
        raise BadInputError(
            f"There is no operation {', '.join(unknown)} in ops-db; `dts status` names those that need a person."
        )
