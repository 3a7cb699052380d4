"""PostgreSQL's own programs: those on PATH, else those of the sandbox's wheel, new enough for the server."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import URL

from include.errors import BadInputError, TransientError

NEEDED = ("pg_dump", "pg_restore")


def folder_for(server_major: int, *, further: Sequence[Path] = ()) -> Path:
    """Return the folder of programs that fit a server: of its own version, else of the next newer one.

    Raises:
        BadInputError: there are none.
    """
    found: dict[int, Path] = {}
    for folder in [*(Path(part) for part in os.get_exec_path()), *further]:
        major = _major(folder)
        if major is not None and major >= server_major:
            found.setdefault(major, folder)
    if not found:
        raise BadInputError(
            f"There is no {' and '.join(NEEDED)} of PostgreSQL {server_major} or newer on PATH: install the package"
            f" postgresql-client-{server_major}."
        )
    return found[min(found)]


def _major(folder: Path) -> int | None:
    if not all(shutil.which(name, path=str(folder)) for name in NEEDED):
        return None
    said = subprocess.run([folder / NEEDED[0], "--version"], capture_output=True, text=True, check=False).stdout
    numbers = re.search(r"(\d+)(?:\.\d+)?", said)
    return int(numbers.group(1)) if numbers else None


def run(folder: Path, name: str, url: URL, arguments: Sequence[str | Path]) -> None:
    """Run a program against a database; the password goes through the environment, where no other user sees it.

    Raises:
        TransientError: it failed, with what it said last.
    """
    environment = {**os.environ, "PGPASSWORD": url.password or "", "PGCONNECT_TIMEOUT": "10"}
    where = {
        "--host": url.host,
        "--port": str(url.port) if url.port else None,
        "--username": url.username,
        "--dbname": url.database,
    }
    options = [part for key, value in where.items() if value for part in (key, value)]
    environment |= {f"PG{key.upper()}": str(value) for key, value in url.query.items() if key.startswith("ssl")}
    done = subprocess.run(
        [folder / name, *options, "--no-password", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = next(reversed([*_lines(done.stderr)]), f"exit code {done.returncode}")
        raise TransientError(f"{name} failed: {last}")


def _lines(text: str) -> Iterator[str]:
    yield from (line.strip() for line in text.splitlines() if line.strip())
