"""The life of a file, a package or an observation, from its filing to the deletion of its last local copy.

Everything comes from rows that are never deleted, so that it can be told when nothing is left but the archives.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Row, TextClause

from include.explain import history_statements as statements
from include.plurals import counted
from include.sizes import size


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a package."""

    at: datetime
    what: str
    """One word: filed, packaged, bundled, arrived, verified, archived, staged, deleted, …"""
    place: str
    said: str
    """What else is to be said, without a full stop."""
    package: str
    by: str | None = None
    run_id: str | None = None
    """The Airflow run."""
    evidence: tuple[dict[str, Any], ...] = ()
    """Of a deletion: the archive copies that justified it."""
    packages: int = 1
    """Of how many packages this is told."""
    last_at: datetime | None = field(default=None)
    """When the last of them followed; unset for one."""


def events_of(connection: Connection, packages: Sequence[int]) -> list[Event]:
    """Return what happened to packages, oldest first; twelve statements, however many packages."""
    tellers = (
        (statements.FILED, _filed),
        (statements.PACKAGED, _packaged),
        (statements.MOVED, _moved),
        (statements.COPIES, _copies),
        (statements.EARLIER, _earlier),
        (statements.ATTEMPTS, _attempts),
        (statements.STAGING, _staging),
        (statements.PINS, _pins),
        (statements.OVERRIDES, _overrides),
        (statements.REQUESTS, _requests),
        (statements.BRAKE, _brake),
        (statements.RECORDS, _records),
    )
    told = chain.from_iterable(teller(row) for query, teller in tellers for row in _rows(connection, query, packages))
    return sorted(told, key=lambda event: event.at)


def _rows(connection: Connection, query: TextClause, packages: Sequence[int]) -> Iterable[Row[Any]]:
    return connection.execute(query, {"packages": list(packages)})


def taken_together(events: Sequence[Event]) -> list[Event]:
    """Return one event for what happened to several packages at one place; oldest first."""
    groups: dict[tuple[str, str, str | None], list[Event]] = {}
    for event in events:
        groups.setdefault((event.what, event.place, event.by), []).append(event)
    return [_together(group) for group in groups.values()]


def _together(group: Sequence[Event]) -> Event:
    first, last = group[0], group[-1]
    packages = {event.package for event in group}
    if len(group) == 1:
        return first
    said = counted(len(packages), "package") + (f", {len(group)} times" if len(group) > len(packages) else "")
    return Event(
        at=first.at,
        what=first.what,
        place=first.place,
        said=said,
        package=first.package,
        by=first.by,
        packages=len(packages),
        last_at=last.at,
    )


def _filed(row: Row[Any]) -> Iterator[Event]:
    said = f"{counted(row.files, 'file')}, {size(row.size_bytes)} (filing {row.filing})"
    yield Event(at=row.at, what="filed", place=row.place, said=said, package=row.package, by=row.by, run_id=row.run_id)


def _packaged(row: Row[Any]) -> Iterator[Event]:
    said = f"{counted(row.files, 'file')} into {size(row.size_bytes)}, {row.checksum}"
    yield Event(at=row.at, what="packaged", place=row.place, said=said, package=row.package)


def _moved(row: Row[Any]) -> Iterator[Event]:
    way = f"from {row.origin}, {'primary' if row.is_primary else 'secondary'} transfer"
    if row.state == "closed":
        said = f"for {row.destination} (bundle {row.bundle})"
        yield Event(at=row.bundled_at, what="bundled", place=row.origin, said=said, package=row.package)
    if row.transferred_at is not None:
        said = f"{way} {row.transfer}"
        yield Event(at=row.transferred_at, what="arrived", place=row.destination, said=said, package=row.package)
    if row.unpacked_at is not None:
        said = "package and every file in it"
        yield Event(at=row.unpacked_at, what="verified", place=row.destination, said=said, package=row.package)


def _copies(row: Row[Any]) -> Iterator[Event]:
    if row.location_type == "long_term_archive":
        said = f"{size(row.size_bytes)}, read back" if row.verified_at else f"{size(row.size_bytes)}, not verified"
        yield Event(at=row.created_at, what="archived", place=row.place, said=said, package=row.package)
    if row.location_type == "processing" and row.verified_at is not None:  # else its files had only begun to come
        yield Event(at=row.verified_at, what="staged", place=row.place, said=size(row.size_bytes), package=row.package)
    if row.status in {"corrupt", "missing"}:
        at, said = row.verified_at or row.created_at, f"{counted(row.files, 'file')} of it; last known good then"
        yield Event(at=at, what=row.status, place=row.place, said=said, package=row.package)
    if row.deleted_at is not None:
        said = f"{counted(row.files, 'file')}, {size(row.size_bytes)}"
        yield Event(at=row.deleted_at, what="deleted", place=row.place, said=said, package=row.package)


def _earlier(row: Row[Any]) -> Iterator[Event]:
    yield Event(at=row.at, what=row.what, place=row.place, said=size(row.size_bytes), package=row.package)


def _attempts(row: Row[Any]) -> Iterator[Event]:
    what = {"reset": "retried", "completed": "read again"}.get(row.outcome, "failed")
    said = row.said or ""
    yield Event(
        at=row.at, what=what, place=row.place, said=said if what == "read again" else f"{row.kind}: {said}",
        package=row.package, by=row.by, run_id=row.run_id,
    )  # fmt: skip


def _staging(row: Row[Any]) -> Iterator[Event]:
    until = "" if row.event in {"released", "expired"} else f" until {row.until:%Y-%m-%d %H:%M}"
    said = f"staging job {row.job} {row.event}{until}{_because(row.reason)}"
    yield Event(at=row.at, what="wanted", place=row.place, said=said, package=row.package, by=row.by)


def _pins(row: Row[Any]) -> Iterator[Event]:
    until = f"until {row.until:%Y-%m-%d %H:%M}" if row.until else "until released"
    said = f"{until}{_because(row.reason)}"
    yield Event(at=row.at, what="pinned", place=row.place, said=said, package=row.package, by=row.by)
    if row.released_at is not None:
        yield Event(
            at=row.released_at, what="unpinned", place=row.place, said="", package=row.package, by=row.released_by
        )


def _overrides(row: Row[Any]) -> Iterator[Event]:
    said = f"the copy rule until {row.expires_at:%Y-%m-%d %H:%M}{_because(row.reason)}"
    yield Event(at=row.at, what="override", place=row.place, said=f"asked: {said}", package=row.package, by=row.by)
    if row.confirmed_at is not None:
        yield Event(
            at=row.confirmed_at, what="override", place=row.place, said="confirmed", package=row.package,
            by=row.confirmed_by,
        )  # fmt: skip


def _requests(row: Row[Any]) -> Iterator[Event]:
    said = f"its deletion{_because(row.reason)}"
    yield Event(at=row.at, what="asked", place=row.place, said=said, package=row.package, by=row.by)


def _brake(row: Row[Any]) -> Iterator[Event]:
    about = f"question {row.question} about {counted(row.package_count, 'package')}"
    yield Event(
        at=row.at, what="braked", place=row.place, said=about, package=row.package, by=row.by, run_id=row.run_id
    )
    if row.answered_at is not None:
        said = f"question {row.question}{_because(row.reason)}"
        yield Event(
            at=row.answered_at, what=row.answer, place=row.place, said=said, package=row.package, by=row.answered_by
        )
    if row.lifted_at is not None:
        said = f"question {row.question}{_because(row.lift_reason)}"
        yield Event(at=row.lifted_at, what="lifted", place=row.place, said=said, package=row.package, by=row.lifted_by)


def _records(row: Row[Any]) -> Iterator[Event]:
    safe = ", ".join(f"{copy['location']} ({str(copy['verified_at'])[:16].replace('T', ' ')})" for copy in row.evidence)
    override = f", override {row.override}" if row.override else ""
    said = f"{counted(row.files, 'copy')} may go, policy version {row.policy_version}{override}; verified in {safe}"
    yield Event(
        at=row.at, what="freed", place=row.place, said=said, package=row.package, by=row.by, run_id=row.run_id,
        evidence=tuple(row.evidence),
    )  # fmt: skip


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""
