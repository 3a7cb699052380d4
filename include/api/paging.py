"""Lists, page by page: each begins where the last one ended, by the key of an index, so that all are as fast.

No page is counted off, and none is missed or seen twice while rows come in.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, text

from include.api.problems import ProblemError

LIMIT_MAX = 1000
M = TypeVar("M", bound=BaseModel)


class Page(BaseModel, Generic[M]):
    """A part of a list."""

    items: list[M]
    next: str | None = Field(description="Give it as `after` for the next page; null: this is the last one.")


@dataclass(frozen=True)
class Wanted:
    """Which page is asked for."""

    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="At most so many.")] = 100
    after: Annotated[
        str | None, Query(max_length=4000, description="`next` of the page before; leave it out for the first.")
    ] = None


WantedPage = Annotated[Wanted, Depends()]


def whole_number(value: object) -> int:
    """Read a number of a cursor."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError
    return value


def words(value: object) -> str:
    """Read a text of a cursor."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()
    return value


def moment(value: object) -> datetime:
    """Read a time of a cursor."""
    found = datetime.fromisoformat(words(value))
    if found.tzinfo is None:
        raise ValueError
    return found


def uuid(value: object) -> UUID:
    """Read a UUID of a cursor."""
    return UUID(words(value))


@dataclass(frozen=True, kw_only=True)
class Listing(Generic[M]):
    """A list that can be asked for page by page."""

    model: type[M]
    query: str
    """`select … from …`, without `where`; each key stands in it as `key_0`, `key_1`."""
    keys: tuple[tuple[str, Callable[[object], object]], ...]
    """By which columns it is ordered, together unique and with an index; and how each is read from a cursor."""
    newest_first: bool = True

    def page(self, connection: Connection, wanted: Wanted, *, where: Sequence[tuple[str, object]] = ()) -> Page[M]:
        """Return a page of what fits: a condition `column = :value` whose value is None does not count."""
        statement, values = self.statement(wanted, where=where)
        rows = connection.execute(text(statement), values).mappings().all()
        shown = rows[: wanted.limit]
        names = [f"key_{number}" for number in range(len(self.keys))]
        following = _cursor([shown[-1][name] for name in names]) if len(rows) > wanted.limit else None
        return Page(items=[self.model.model_validate(dict(row)) for row in shown], next=following)

    def statement(self, wanted: Wanted, *, where: Sequence[tuple[str, object]] = ()) -> tuple[str, dict[str, Any]]:
        """Return SQL and its values."""
        conditions, values = [], {"limit": wanted.limit + 1}
        for number, (condition, value) in enumerate(where):
            if value is not None:
                conditions.append(condition.replace(":value", f":value_{number}"))
                values[f"value_{number}"] = value  # type: ignore[assignment]
        columns = [column for column, _ in self.keys]
        if wanted.after is not None:
            known = self._read(wanted.after)
            values |= {f"after_{number}": value for number, value in enumerate(known)}  # type: ignore[misc]
            marks = ", ".join(f":after_{number}" for number in range(len(known)))
            conditions.append(f"({', '.join(columns)}) {'<' if self.newest_first else '>'} ({marks})")
        direction = " desc" if self.newest_first else ""
        found = f" where {' and '.join(conditions)}" if conditions else ""
        order = ", ".join(f"{column}{direction}" for column in columns)
        return f"{self.query}{found} order by {order} limit :limit", values

    def _read(self, cursor: str) -> list[object]:
        try:
            values = json.loads(urlsafe_b64decode(cursor.encode()))
            return [read(value) for (_, read), value in zip(self.keys, values, strict=True)]
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "after is no cursor of this list: give `next` of its last page."
            ) from error


def _cursor(values: Sequence[object]) -> str:
    return urlsafe_b64encode(json.dumps(values, default=str).encode()).decode()
