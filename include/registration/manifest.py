"""Reading a manifest: JSON Lines beside the data, one filed file a line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from include.errors import BadInputError, FilingRefusedError, MissingFileError
from include.registration.conf import refuse_strange_values, sentence_of
from include.registration.files import FiledFile
from include.registration.shown import reason_shown, shown, size_shown
from include.storage.interface import FileStat, Storage

MANIFEST_BYTES_MAX = 100 * 10**6
MANIFEST_LINES_MAX = 200_000
LINE_BYTES_MAX = 16_384
VALUES_PER_LINE_MAX = 100

_FILE = TypeAdapter(FiledFile)


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """A file, and where the manifest has it."""

    file: FiledFile
    number: int


def read_manifest(path: str, *, storage: Storage, location: str) -> Iterator[ManifestLine]:
    """Yield the manifest's files, line by line; empty lines are passed over.

    Raises:
        FilingRefusedError: there is no such manifest, it is too large, or a line (named) is malformed.
        TransientError: the storage is busy.
    """
    where = f"manifest {shown(path)}"
    try:
        found = storage.stat(path)
        size_bytes = _size_of(found, where=where, location=location)
        for number, line in _lines(storage.read(path, length=size_bytes), where=where):
            if line.strip():
                yield ManifestLine(parsed_line(line, where=f"line {number} of {where}"), number)
    except FilingRefusedError:
        raise
    except (BadInputError, MissingFileError) as error:
        raise FilingRefusedError(f"{where} cannot be read: {reason_shown(error)}.") from error


def _size_of(found: FileStat | None, *, where: str, location: str) -> int:
    if found is None:
        raise FilingRefusedError(
            f"{where} is not at {location}, or is no regular file there; write it, then send the filing."
        )
    if found.size_bytes > MANIFEST_BYTES_MAX:
        raise FilingRefusedError(
            f"{where} has {size_shown(found.size_bytes)}, more than {size_shown(MANIFEST_BYTES_MAX)}; file it in parts."
        )
    return found.size_bytes


def _lines(chunks: Iterator[bytes], *, where: str) -> Iterator[tuple[int, bytes]]:
    number = 0
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            _refuse_excess(line, number=number, where=where)
            yield number, line
        _refuse_excess(rest, number=number + (rest != b""), where=where)
    if rest:
        yield number + 1, rest


def _refuse_excess(line: bytes, *, number: int, where: str) -> None:
    if number > MANIFEST_LINES_MAX:
        raise FilingRefusedError(f"{where} has more than {MANIFEST_LINES_MAX:,} lines; file it in parts.")
    if len(line) > LINE_BYTES_MAX:
        raise FilingRefusedError(
            f"line {number} of {where} is longer than {LINE_BYTES_MAX:,} bytes; it must be one JSON object a line."
        )


def parsed_line(line: bytes, *, where: str) -> FiledFile:
    """Return the file that a line describes.

    Raises:
        FilingRefusedError: it is malformed; `where` says which line that is.
    """
    value = json_in(line, where=where, wanted="it must be one JSON object a line")
    try:
        return _FILE.validate_python(value)
    except ValidationError as error:
        try:
            refuse_strange_values(value, values_max=VALUES_PER_LINE_MAX)
        except FilingRefusedError as strange:
            raise FilingRefusedError(f"{where}: {strange}") from error
        raise FilingRefusedError(sentence_of(error, within=f"{where}: ")) from error


def json_in(text: bytes, *, where: str, wanted: str) -> object:
    """Return decoded JSON.

    Raises:
        FilingRefusedError: it is none, or a key stands twice in it.
    """
    try:
        return json.loads(text.decode(), object_pairs_hook=_without_doubles)
    except UnicodeDecodeError as error:
        raise FilingRefusedError(f"{where} is not UTF-8 at byte {error.start}; write it as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise FilingRefusedError(f"{where} is not JSON ({str(error)[:100]}); {wanted}.") from error


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice")
    return value
