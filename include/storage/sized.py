"""Hold what is being written to the size that was promised."""

from collections.abc import Iterable, Iterator

from include.errors import TransientError
from include.storage.interface import Chunk


def sized(chunks: Iterable[Chunk], *, size_bytes: int | None, what: str) -> Iterator[Chunk]:
    """The same chunks. Raises TransientError instead of ending if they are not `size_bytes` (None: any) together."""
    passed = 0
    for chunk in chunks:
        passed += len(chunk)
        if size_bytes is not None and passed > size_bytes:
            raise TransientError(f"{what} gets more than the {size_bytes} bytes that were expected")
        yield chunk
    if size_bytes is not None and passed != size_bytes:
        raise TransientError(f"{what} got {passed} bytes instead of {size_bytes}")
