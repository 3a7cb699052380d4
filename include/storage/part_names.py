"""The name of a file that is still being written, on disks and SFTP servers."""

import re
from uuid import uuid4

_PART = re.compile(r"\.[0-9a-f]{32}\.part\Z")

# Of a long name only the beginning is kept: 255 bytes is the limit for a name, and a character may take four.
_KEPT_CHARACTERS = 50


def part_name(name: str) -> str:
    """A name nobody else uses, beside the final one, by which people still recognise the file."""
    return f"{name[:_KEPT_CHARACTERS]}.{uuid4().hex}.part"


def is_part_name(name: str) -> bool:
    """Whether part_name made it."""
    return _PART.search(name) is not None
