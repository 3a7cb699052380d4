"""The brake: what would delete too much of a location at once waits for a person's yes, and a no is remembered.

Nothing here deletes, or lets anything past the gate. What `hold_back` lets go gets an operation, which asks the gate as
ever; what it holds back gets none.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.ops_db.states import BrakeAnswer
from include.plurals import counted
from include.policy import Brake
from include.sizes import size
from include.topology import DataLocation, Topology

# A package is at most in one question that counts: what waits or is refused is not asked about again. A yes is used up
# by the deletion that it allowed: what comes back later (staged anew, say) is another copy.
STANDING = text(
    """
    select m.raw_data_package_id as package, b.id as brake, b.answer from deletion_brake_package m
    join deletion_brake b on b.id = m.deletion_brake_id
    where m.raw_data_package_id = any(:packages) and b.data_location_id = :here and b.lifted_at is null
      and b.policy_sha256 = :policy and b.answer is distinct from 'withdrawn'
      and not (b.answer = 'approved' and exists (
        select from deletion_record d where d.raw_data_package_id = m.raw_data_package_id
          and d.data_location_id = :here and d.recorded_at >= b.answered_at))
    order by b.id
    """
)

# Under another policy it is another question: an open one is withdrawn, a no is forgotten.
WITHDRAW = text(
    """
    update deletion_brake set answer = 'withdrawn', answered_at = now(), answered_by = 'policy',
      reason = 'Policy changed before anybody answered; what is too much now is asked anew.'
    where data_location_id = :here and answer is null and policy_sha256 <> :policy
    """
)

FORGET = text(
    """
    update deletion_brake set lifted_at = now(), lifted_by = 'policy', lift_reason = 'Policy changed.'
    where data_location_id = :here and answer = 'refused' and lifted_at is null and policy_sha256 <> :policy
    """
)

HELD_BACK = """
exists (select from deletion_brake_package held join deletion_brake b on b.id = held.deletion_brake_id
  where held.raw_data_package_id = p.id and b.data_location_id = :here and b.lifted_at is null
    and (b.answer is null or b.answer = 'refused'))
"""
"""Whether a question that waits, or a no, keeps the package `p` at the location `:here`."""

UNDER_WAY = text(
    """
    select o.raw_data_package_id as package, coalesce(p.size_bytes, p.content_bytes) as size_bytes
    from operation o join raw_data_package p on p.id = o.raw_data_package_id
    where o.kind = 'deletion' and o.data_location_id = :here and o.status not in ('completed', 'cancelled')
    """
)

# What it can hold, as it was last measured; of what is catalogued there while nobody has measured it.
ROOM = text(
    """
    select coalesce(
      (select total_bytes from location_measurement
       where data_location_id = :here and total_bytes is not null order by measured_at desc limit 1),
      (select sum(size_bytes) from physical_copy
       where data_location_id = :here and status not in ('deleted', 'missing')), 0)::bigint
    """
)

ASK = text(
    """
    insert into deletion_brake (data_location_id, run_id, requested_by, topology_version_id, policy_sha256,
      package_count, copy_count, size_bytes, location_bytes, why)
    values (:here, :run_id, :requested_by, (select max(id) from topology_version), :policy,
      :package_count, :copy_count, :size_bytes, :location_bytes, :why)
    on conflict do nothing
    returning id
    """
)

ASK_ABOUT = text(
    """
    insert into deletion_brake_package (deletion_brake_id, raw_data_package_id, copy_count, size_bytes)
    select :brake, * from unnest(cast(:packages as bigint[]), cast(:copies as int[]), cast(:sizes as bigint[]))
    """
)


DELETION_RULES = frozenset(
    {"archive_copies", "archive_sites", "deletion_grace_seconds", "verified_within_days", "retention", "brake"}
)
"""What of a Policy decides about deletion."""


class Found(Protocol):
    """A package that would go from a location."""

    @property
    def id(self) -> int:
        """Of the raw_data_package."""

    @property
    def copies(self) -> int:
        """How many of its copies are there."""

    @property
    def size_bytes(self) -> int:
        """Of those copies."""


@dataclass(frozen=True, kw_only=True)
class Going:
    """A package that would go, where no row of a query says so."""

    id: int
    copies: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class At:
    """A location whose copies would go."""

    session: Session
    topology: Topology
    location: DataLocation
    data_location_id: int

    @property
    def values(self) -> dict[str, object]:
        """What the statements are about."""
        return {"here": self.data_location_id, "policy": policy_sha256(self.topology, self.location)}


def policy_sha256(topology: Topology, location: DataLocation) -> str:
    """Return a hash of what decides about deletion at a location. Under other numbers a no is another no."""
    rules = topology.policy.model_dump_json(include=set(DELETION_RULES))
    return hashlib.sha256((rules + location.watermarks.model_dump_json()).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class TooMuch:
    """Why a person must be asked."""

    why: str
    location_bytes: int | None


def too_much(brake: Brake, *, going: int, under_way: int, room: int | None, where: str) -> TooMuch | None:
    """Compare what would go (bytes), with what is on its way out already, to the limits; None: it may.

    `room` is unset where the share does not matter.
    """
    total = going + under_way
    also = f" with the {size(under_way)} whose deletion is under way" if under_way else ""
    would = f"{size(going)} would go from {where} at once"
    if brake.bytes is not None and total > brake.bytes:
        return TooMuch(why=f"{would}{also}; policy allows {size(brake.bytes)}.", location_bytes=room)
    if room is not None and total > brake.share * room:
        allowed = f"{brake.share:.0%} of the {size(room)} that it has room for"
        return TooMuch(why=f"{would}{also}; policy allows {allowed}.", location_bytes=room)
    return None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the brake says about packages that would go, before anybody is asked."""

    may_go: frozenset[int]
    held: dict[int, tuple[int, BrakeAnswer | None]]
    """Packages that an earlier question holds back, with its number and answer (None: nobody has answered yet)."""
    over: TooMuch | None
    """Why the rest, which is neither here nor there, needs a yes."""


def judge(at: At, found: Sequence[Found]) -> Judged:
    """Tell which packages may go now; changes nothing. `found` are all that would go, a run's whole list."""
    ids = {row.id for row in found}
    leaving = {row.package: row.size_bytes for row in at.session.execute(UNDER_WAY, at.values)} if found else {}
    standing = at.session.execute(STANDING, at.values | {"packages": list(ids | leaving.keys())}) if found else ()
    newest = {row.package: (row.brake, BrakeAnswer(row.answer) if row.answer else None) for row in standing}
    approved = {package for package, (_, answer) in newest.items() if answer is BrakeAnswer.APPROVED}
    held = {package: said for package, said in newest.items() if package in ids - approved}
    fresh = [row for row in found if row.id not in newest]
    over = _too_much(at, fresh, under_way=sum(leaving[package] for package in leaving.keys() - approved - ids))
    may_go = (ids & approved) | (set() if over else {row.id for row in fresh})
    return Judged(may_go=frozenset(may_go), held=held, over=over)


def _too_much(at: At, fresh: Sequence[Found], *, under_way: int) -> TooMuch | None:
    if not fresh:
        return None
    brake = at.topology.policy.brake
    return too_much(
        brake,
        going=sum(row.size_bytes for row in fresh),
        under_way=under_way,
        # Only where it matters: while nobody has measured it, it is a sum over all that lies there.
        room=at.session.execute(ROOM, at.values).scalar_one() if brake.share < 1 else None,
        where=at.location.full_name,
    )


def go_by_this_policy(at: At) -> None:
    """Withdraw what was asked, and forget what was refused, under another policy than the applied one."""
    at.session.execute(WITHDRAW, at.values)
    at.session.execute(FORGET, at.values)


def hold_back(at: At, found: Sequence[Found], *, requested_by: str, run_id: str | None) -> Judged:
    """Tell which packages may go now, and ask a person about the others if they are too much at once.

    In the caller's transaction, which also makes the operations of what may go. One question at a time is asked about a
    location: while one waits, what is too much besides waits unasked.
    """
    judged = judge(at, found)
    if judged.over is not None:
        fresh = [row for row in found if row.id not in judged.may_go and row.id not in judged.held]
        _ask(at, fresh, why=judged.over, requested_by=requested_by, run_id=run_id)
    return judged


def _ask(at: At, fresh: Sequence[Found], *, why: TooMuch, requested_by: str, run_id: str | None) -> None:
    asked = at.values | {
        "run_id": run_id,
        "requested_by": requested_by,
        "package_count": len(fresh),
        "copy_count": sum(row.copies for row in fresh),
        "size_bytes": sum(row.size_bytes for row in fresh),
        "location_bytes": why.location_bytes,
        "why": f"{counted(len(fresh), 'package')}: {why.why}",
    }
    brake = at.session.execute(ASK, asked).scalar()
    if brake is not None:
        lists = {
            "packages": [row.id for row in fresh],
            "copies": [row.copies for row in fresh],
            "sizes": [row.size_bytes for row in fresh],
        }
        at.session.execute(ASK_ABOUT, lists | {"brake": brake})
