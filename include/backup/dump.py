"""Back up, restore, verify.

A dump and its counts are of one moment (an exported snapshot), while work goes on. What is restored is whole or not at
all: one transaction into an empty database, compared with the counts afterwards.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from include.backup.contents import Contents, beside, contents, is_empty, sha256_of
from include.backup.programs import folder_for, run
from include.errors import BadInputError, IntegrityError

# A dump takes as long as it takes: none of the limits of other connections.
OPTIONS = {"connect_timeout": 10, "options": "-c timezone=UTC -c statement_timeout=0"}


@contextmanager
def _engine(url: URL) -> Iterator[Engine]:
    engine = create_engine(url.set(drivername="postgresql+psycopg"), poolclass=NullPool, connect_args=OPTIONS)
    try:
        yield engine
    finally:
        engine.dispose()


def back_up(url: URL, dump: Path, *, programs: Sequence[Path] = ()) -> Contents:
    """Write a dump and, beside it, what is in it. The dump gets its name only when it is complete and on the disk.

    Raises:
        BadInputError: the file is there, or there are no programs for this server.
        TransientError: pg_dump failed.
    """
    if dump.exists() or beside(dump).exists():
        raise BadInputError(f"{dump} is there already: name another file.")
    part = dump.with_name(f"{dump.name}.part")
    with _engine(url) as engine, engine.connect() as connection, connection.begin():
        connection.execute(text("set transaction isolation level repeatable read, read only"))
        connection.execute(text("set local idle_in_transaction_session_timeout = 0"))
        snapshot = connection.execute(text("select pg_export_snapshot()")).scalar_one()
        folder = folder_for(_major(engine), further=programs)
        try:
            part.touch(mode=0o600)  # names, paths and accounts are nobody else's business
            arguments: list[str | Path] = [
                "--format=custom",
                f"--snapshot={snapshot}",
                "--no-owner",
                "--no-privileges",
                "--file",
                part,
            ]
            run(folder, "pg_dump", url, arguments)
            found = contents(connection)
            found = found.model_copy(update={"size_bytes": part.stat().st_size, "sha256": sha256_of(part)})
            _durable(part)
            beside(dump).write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
            _durable(beside(dump))
            part.rename(dump)
            _durable(dump.parent)
        finally:
            part.unlink(missing_ok=True)
    return found


def restore(url: URL, dump: Path, *, programs: Sequence[Path] = ()) -> Contents:
    """Bring a dump into an empty database, all of it or nothing, and compare.

    Raises:
        BadInputError: the database is not empty, or the dump is not there.
        IntegrityError: the dump is damaged, or something is missing afterwards.
        TransientError: pg_restore failed; the database is as empty as before.
    """
    expected = _checked(dump)
    with _engine(url) as engine:
        with engine.connect() as connection:
            if not is_empty(connection):
                raise BadInputError(
                    f"The database {url.database} at {url.host} is not empty: a dump is restored into an empty one only"
                    f" (createdb), so that nothing is lost by it."
                )
        folder = folder_for(_major(engine), further=programs)
        run(
            folder,
            "pg_restore",
            url,
            ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", dump],
        )
        with engine.connect() as connection:
            found = contents(connection)
    if told := expected.differences(found):
        raise IntegrityError(f"What was restored from {dump} is not what was dumped: {'; '.join(told)}.")
    return found


def verify(server: URL, dump: Path, *, programs: Sequence[Path] = ()) -> Contents:
    """Prove a dump: restore it into a database of its own on a server, compare, and drop that database.

    Raises:
        BadInputError, IntegrityError, TransientError: like `restore`.
    """
    _checked(dump)
    name = f"dts_verify_{secrets.token_hex(6)}"
    with _engine(server) as engine, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as control:
        control.execute(text(f"create database {name} template template0"))
        try:
            return restore(server.set(database=name), dump, programs=programs)
        finally:
            control.execute(text(f"drop database {name} with (force)"))


def _checked(dump: Path) -> Contents:
    try:
        expected = Contents.model_validate_json(beside(dump).read_text(encoding="utf-8"))
        found = sha256_of(dump)
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{dump} cannot be used: it, or {beside(dump).name} beside it, cannot be read ({error})."
        ) from error
    if found != expected.sha256:
        raise IntegrityError(f"{dump} is damaged: its SHA-256 is {found}, and was {expected.sha256}.")
    return expected


def _major(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("show server_version_num")).scalar_one()) // 10_000


def _durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
