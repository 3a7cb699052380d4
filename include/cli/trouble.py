"""What went wrong, in one line on stderr: never a traceback, never a password."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from alembic.util.exc import CommandError
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from include.cli.place import ops_db_address
from include.errors import BadInputError, DtsError
from include.operations.decide import sentence

UNDEFINED_TABLE = "42P01"
UNDEFINED_COLUMN = "42703"


@contextmanager
def one_line_errors() -> Iterator[list[str]]:
    """Print the sentence of an error that the block raises; the list that it yields is empty if there was none."""
    trouble: list[str] = []
    try:
        try:
            yield trouble
        finally:
            sys.stdout.flush()  # here, and not when Python ends: a closed pipe must be met below
    except DtsError as error:
        trouble.append(str(error))
    except DBAPIError as error:
        trouble.append(_of_the_database(error))
    except CommandError as error:
        trouble.append(f"The schema of ops-db cannot be brought there: {sentence(error)}")
    except BrokenPipeError:
        # Whoever read it has seen enough (`dts status | head`). Python must not flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for line in trouble:
        sys.stderr.write(f"dts: {line}\n")


def _of_the_database(error: DBAPIError) -> str:
    address = _where()
    state = getattr(error.orig, "sqlstate", None)
    first_line = next(iter(str(error.orig).strip().splitlines()), type(error).__name__)
    if isinstance(error, ProgrammingError) and state in {UNDEFINED_TABLE, UNDEFINED_COLUMN}:
        return f"The operations database {address} does not have the tables of this version: run `dts db upgrade`."
    if isinstance(error, OperationalError) and state is None:
        return (
            f"The operations database {address} cannot be reached: {sentence(Exception(first_line))}"
            " Is it running, and is DTS_OPS_DB_URL right?"
        )
    return f"The operations database {address} refused: {sentence(Exception(first_line))}"


def _where() -> str:
    try:
        url: URL = ops_db_address()
    except BadInputError:
        return ""
    return f"{url.database} at {url.host or 'localhost'}:{url.port or 5432}"
