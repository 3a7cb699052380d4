"""`.sandbox/state.json`: what people read on the screen, for scripts. It holds passwords: mode 0600."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from include.errors import SandboxError
from include.sandbox.accounts import private_file

Role = Literal["admin", "op", "user", "viewer"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class User(_Model):
    """A login of the web page and the REST API."""

    name: str
    role: Role
    password: str


class Store(_Model):
    """An archive's S3 store."""

    endpoint: str
    bucket: str
    key: str
    secret: str


class Worker(_Model):
    """A Celery worker."""

    pid: int
    queues: tuple[str, ...]
    log: Path


class State(_Model):
    """A running sandbox."""

    url: str
    """Of the web page; the REST API is below `/api/v2`."""
    users: tuple[User, ...]
    ops_db_url: str
    """SQLAlchemy URL of ops-db."""
    topology: Path
    """The topology file in force (absolute roots)."""
    s3: dict[str, Store]
    """By full name of the archive location."""
    locations: dict[str, str]
    """Folder of a disk location, bucket of an archive, by full name."""
    workers: dict[str, Worker]
    """By host name."""
    ports: dict[str, int]
    supervisor_pid: int
    """The process that owns all others: SIGTERM ends the sandbox."""
    processes: dict[str, int]
    """Pid of every server and component but the workers."""

    def user(self, name: str) -> User:
        """Return the login called `name`."""
        return next(user for user in self.users if user.name == name)

    def write(self, path: Path) -> None:
        """Replace the file at once: a reader sees the old or the new one."""
        new = private_file(path.with_suffix(".new"), self.model_dump_json(indent=2) + "\n")
        new.replace(path)

    @classmethod
    def read(cls, path: Path) -> "State":
        """Read the file.

        Raises:
            SandboxError: there is none, hence no running sandbox.
        """
        try:
            return cls.model_validate_json(path.read_text())
        except FileNotFoundError as error:
            raise SandboxError("No sandbox is running from this clone: `make sandbox` starts one.") from error
