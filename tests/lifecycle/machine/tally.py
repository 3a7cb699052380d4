"""What happened in all histories, counted."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Of one process."""

    histories: int = 0
    allowed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By the question that had an objection."""
    files_deleted: int = 0
    killed: int = 0
    scrubs: int = 0
    races: int = 0
    """Two transactions at once."""
    wrong_deletions: int = 0
    wrong_refusals: int = 0
    broken: int = 0
    """Runs that ended by an error."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})
