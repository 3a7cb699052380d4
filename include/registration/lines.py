"""The files of a filing that comes as a stream: JSON Lines, checked and copied into ops-db as they are read.

A hundred thousand files are never in memory as a document. They stay in `filed_line` until the filing is accepted, or
was refused and is corrected.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import FilingRefusedError
from include.registration.files import Doubles, FiledFile
from include.registration.manifest import LINE_BYTES_MAX, parsed_line
from include.registration.presence import IdentifiedFile

LINES_MAX = 100_000
LINES_PER_STATEMENT = 10_000
"""A statement has 30 seconds, and the lines are checked while it lasts."""

COPY = "copy filed_line (filing_id, position, path, size_bytes, checksum, id) from stdin"
FORGET = text("delete from filed_line where filing_id = :filing_id")
STORED = text("select path, size_bytes, checksum, id from filed_line where filing_id = :filing_id order by position")


@dataclass(frozen=True, kw_only=True)
class StoredLines:
    """How much was filed."""

    file_count: int
    size_bytes: int


def store_lines(session: Session, lines: BinaryIO, *, filing_id: int, observation: UUID) -> StoredLines:
    """Copy the files of a filing into `filed_line`, in the caller's transaction.

    Args:
        session: in the caller's transaction.
        lines: from the second line on; the first is the filing's head.
        filing_id: of the filing.
        observation: that it is about.

    Raises:
        FilingRefusedError: a line (named) is malformed, stands twice, or is one too many; some may be written.
    """
    session.execute(FORGET, {"filing_id": filing_id})
    files = _checked(lines, observation=observation)
    driver = session.connection().connection.driver_connection
    assert driver is not None
    file_count = size_bytes = 0
    for first in files:
        with driver.cursor() as cursor, cursor.copy(COPY) as copy:
            for file in chain([first], islice(files, LINES_PER_STATEMENT - 1)):
                file_count, size_bytes = file_count + 1, size_bytes + file.size_bytes
                copy.write_row((filing_id, file_count, file.path, file.size_bytes, file.checksum, file.id))
    if not file_count:
        raise FilingRefusedError("no file follows the first line; a filing needs at least one.")
    return StoredLines(file_count=file_count, size_bytes=size_bytes)


def stored_lines(session: Session, *, filing_id: int, observation: UUID) -> list[IdentifiedFile]:
    """Return the files of a filing that came as a stream, as they came."""
    files = (FiledFile(**row) for row in session.execute(STORED, {"filing_id": filing_id}).mappings())
    return [IdentifiedFile(file, file.identity(observation)) for file in files]


def _checked(lines: BinaryIO, *, observation: UUID) -> Iterator[FiledFile]:
    doubles = Doubles(observation)
    count = 0
    # One byte more than allowed is read, so that a line that goes on is noticed.
    for number, line in enumerate(iter(lambda: lines.readline(LINE_BYTES_MAX + 2), b""), start=2):
        where = f"line {number}"
        if len(line.rstrip(b"\n")) > LINE_BYTES_MAX:
            raise FilingRefusedError(f"{where} is longer than {LINE_BYTES_MAX:,} bytes; it must be one JSON object.")
        if not line.strip():
            continue
        count += 1
        if count > LINES_MAX:
            raise FilingRefusedError(f"more than {LINES_MAX:,} files follow the first line; file them in parts.")
        file = parsed_line(line, where=where)
        doubles.add(file, where=where)
        yield file
