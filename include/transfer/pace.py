"""How fast bytes may be asked for: an engine is handed a Pace, and asks it before it asks the origin."""

from typing import Protocol


class Pace(Protocol):
    """What is shared by everything that uses a route at once."""

    async def acquire(self, size_bytes: int) -> None:
        """Return when so many bytes may be sent.

        It is awaited in the loop that moves the bytes, in lumps of LUMP_BYTES, one after the other: an implementation
        that asks a database does so in a thread, and for more than one lump at a time.
        """


LUMP_BYTES = 2 * 1024 * 1024
"""At 10 Mbit/s paced to two seconds, at 1 Gbit/s asked for 60 times a second."""
