"""What can go wrong, as types. A message is a sentence for a person: the thing, the place, the way out.

InstrumentClientError
├── WrongInputError    what was asked for makes no sense; nothing was changed
├── SpoolError         the disk does not take it, or does not give it back; nothing is half written
│   └── SpoolFullError     the spool has reached its limit
├── RefusedError       the server's final word on what was sent
│   └── UnknownError       it does not know what we speak of (any more)
└── TryAgainError      the server cannot now; later it may
    └── ServerAwayError    this goes for everything that waits, not for one observation only
"""

from __future__ import annotations


class InstrumentClientError(Exception):
    """Base of every error that this client raises on purpose."""


class WrongInputError(InstrumentClientError):
    """What was asked for makes no sense; nothing was changed."""


class SpoolError(InstrumentClientError):
    """The disk that holds the spool does not do what is needed; nothing is half written."""


class SpoolFullError(SpoolError):
    """The spool has reached the limit that it was given."""


class RefusedError(InstrumentClientError):
    """The server's final word: the same again would be refused again."""


class UnknownError(RefusedError):
    """The server does not know what we speak of: a wrong address, or it was restored from an older state."""


class TryAgainError(InstrumentClientError):
    """The server cannot now."""

    def __init__(self, sentence: str, *, after_seconds: float = 0.0) -> None:
        super().__init__(sentence)
        self.after_seconds = after_seconds
        """The server asks not to be asked sooner."""


class ServerAwayError(TryAgainError):
    """Nothing can be sent now, whatever observation it belongs to."""
