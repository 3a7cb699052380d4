"""Which blocks of a part file are verified and on the disk: one line each, only ever appended.

A line says `<checksum of the whole> <block size> <block number> <block checksum>` and so proves itself: a torn line, or
one of which a power cut left only zeros, fits no block and counts for nothing. Each line is a single append, so the
lines of two writers do not mix.
"""

import os
from contextlib import suppress
from pathlib import Path

from include.transfer.blocks import Block, Content, blocks_of


def line_of(block: Block, *, content: Content) -> bytes:
    """Return what is written about a block, without the end of the line."""
    return f"{content.checksum} {content.block_bytes} {block.number} {block.checksum}".encode()


def named_in(text: bytes, *, content: Content) -> tuple[Block, ...] | None:
    """Return the blocks that a journal names; None if it is about other content and worth nothing."""
    *lines, _torn = text.split(b"\n")
    known = {line_of(block, content=content): block for block in blocks_of(content)}
    if any(_is_foreign(line, content=content) for line in lines if line not in known):
        return None
    return tuple(known[line] for line in dict.fromkeys(lines) if line in known)


def _is_foreign(line: bytes, *, content: Content) -> bool:
    """Tell whether it is a whole line, but of other content."""
    words = line.split(b" ")
    here = [content.checksum.encode(), str(content.block_bytes).encode()]
    return len(words) == 4 and b":" in words[0] and words[:2] != here


class Journal:
    """The journal of one part file, at `path`. Raises OSError."""

    def __init__(self, path: Path, *, content: Content) -> None:
        self.path = path
        self._content = content
        self._descriptor: int | None = None

    def blocks(self) -> tuple[Block, ...] | None:
        """Return the blocks that it names; None if it is about other content and worth nothing."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        return named_in(text, content=self._content)

    def open(self) -> None:
        """Make ready for `add`."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o644)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")  # ends a torn line, else the next one would be lost with it

    def add(self, block: Block) -> None:
        """Note that `block` is verified and on the disk; durable on return."""
        if self._descriptor is None:
            raise RuntimeError("the journal is not open")
        os.write(self._descriptor, line_of(block, content=self._content) + b"\n")
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Safe to repeat."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Remove the file, if it is there."""
        with suppress(FileNotFoundError):
            self.path.unlink()
