"""Asking ops-db again after a cut: what was worked out in half an hour is not thrown away for a second's hiccup."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

Answer = TypeVar("Answer")

# SQLSTATE classes and codes: connection gone, deadlock or serialization, server going down, lock timeout.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
PASSING = ("08", "40", "57P", "55P03")


def ask_again(action: Callable[[], Answer], *, seconds: float) -> Answer:
    """Do `action`, a whole transaction, again for up to `seconds` while ops-db is not there or a lock is in the way.

    `action` must be harmless to repeat: a commit whose answer was lost may have happened.
    """
    again = Retrying(
        retry=retry_if_exception(is_passing),
        stop=stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.1, max=15),
        reraise=True,
    )
    return again(action)


def is_passing(error: BaseException) -> bool:
    """Tell whether the same transaction may well succeed a moment later."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    state: str | None = getattr(error.orig, "sqlstate", None)
    # Without a state the error is not the server's: it was not reached.
    return state.startswith(PASSING) if state else isinstance(error, OperationalError)
