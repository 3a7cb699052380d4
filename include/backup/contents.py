"""What is in an ops-db: its version and how many rows each table has. Beside every dump as JSON."""

import hashlib
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, text

TABLES = text(
    """
    select c.relname from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    order by c.relname
    """
)


class Contents(BaseModel):
    """What a dump holds."""

    model_config = ConfigDict(frozen=True)

    taken_at: datetime
    revision: str
    rows: dict[str, int]
    size_bytes: int = 0
    sha256: str = ""
    """Of the dump's file."""

    def differences(self, other: "Contents") -> list[str]:
        """Return what another ops-db has otherwise, in sentences."""
        told = [] if self.revision == other.revision else [f"its schema is {other.revision}, not {self.revision}"]
        for table in sorted({*self.rows, *other.rows}):
            ours, theirs = self.rows.get(table), other.rows.get(table)
            if ours != theirs:
                told.append(f"{table} has {theirs} rows, not {ours}")
        return told


def contents(connection: Connection) -> Contents:
    """Count; in the caller's transaction, so that all of it is of one moment."""
    names = connection.execute(TABLES).scalars().all()
    return Contents(
        taken_at=connection.execute(text("select now()")).scalar_one(),
        revision=connection.execute(text("select version_num from alembic_version")).scalar_one(),
        rows={name: connection.execute(text(f'select count(*) from "{name}"')).scalar_one() for name in names},  # noqa: S608 - names of tables, from the catalog
    )


def is_empty(connection: Connection) -> bool:
    """Tell whether a database has no table."""
    return connection.execute(TABLES).first() is None


def sha256_of(path: Path) -> str:
    """Return the hash of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def beside(dump: Path) -> Path:
    """Return where the contents of a dump are written."""
    return dump.with_name(f"{dump.name}.json")
