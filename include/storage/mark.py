"""The mark on a location's disk: a file in its root with the location's name, without which nothing is called missing.

Where a disk is not mounted its mount point is often still there, an empty folder in which every copy would seem to be
gone. So before a file is called missing, or written, or the space is measured, the mark is looked for. Nobody sets it
by hand: a root without one gets it from whoever uses it first, if the location is new (ops-db has never heard of a mark
or a copy there), or if one of the copies that ops-db knows of lies there. Else its disk is not there.

The mark itself is no file of the location: it is never listed, read, written, packaged or deleted by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from include.errors import PermanentError, TransientError

MARK = ".dts_location"

Holds = Callable[[str], bool]
"""Tells whether something is at a path below the root."""


class UnmarkedError(TransientError):
    """A root without a mark, which may not be given one."""


class Marks(Protocol):
    """Who knows which locations have a mark."""

    def may_be_set(self, full_name: str, holds: Holds) -> bool:
        """Tell whether a root without a mark is known to be the location's; TransientError if nobody can be asked."""

    def was_set(self, full_name: str) -> None:
        """Remember it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What must stand in a location's root."""

    full_name: str
    marks: Marks

    @property
    def content(self) -> bytes:
        """Of the file."""
        return f"{self.full_name}\n".encode()

    def require(self, found: bytes | None, *, root: str, at: str) -> None:
        """Compare what was found in `root`, on or at `at`.

        Raises:
            UnmarkedError: nothing was.
            PermanentError: it is another location's.
        """
        if found is None:
            raise UnmarkedError(
                f"the disk of {self.full_name} seems not to be mounted ({at}): {root} has neither {MARK} nor anything"
                f" that ops-db knows to be there; mount it, or, if it is new, write {self.full_name} into {root}/{MARK}"
            )
        if found.strip() != self.content.strip():
            raise PermanentError(
                f"{root} ({at}) is not the folder of {self.full_name}: its {MARK} says"
                f" {found[:100].decode(errors='replace').strip()!r}; mount the right disk, or correct the topology"
            )
