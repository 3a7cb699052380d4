"""Which BUFFER of a site takes new work: the first by priority that is well; it comes back by itself once it is again.

What is under way keeps its place, and waits there. Where no buffer of a site is well, today's rule holds: the first one
is taken, and work into it waits with its own explanation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.ops_db.states import Condition
from include.topology import DataLocation, LocationType, Topology

UNWELL = text(
    """
    select l.full_name, change.why, change.condition from data_location l
    join lateral (select condition, why from location_change where data_location_id = l.id order by id desc limit 1)
      change on true
    where l.full_name = any(:names)
    """
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A buffer, and why not one before it (sentences, each with a space before it; empty if it is the first)."""

    buffer: DataLocation
    why_not_another: str = ""
    is_well: bool = True
    """False: no buffer of its site is, and work into it waits."""


def by_health(session: Session, buffers: Sequence[DataLocation]) -> list[Choice]:
    """Order buffers, given by priority: those that are well first; one that is unwell may be better than none."""
    unwell = {
        row.full_name: str(row.why)
        for row in session.execute(UNWELL, {"names": [buffer.full_name for buffer in buffers]})
        if not Condition(row.condition).takes_work
    }
    choices = []
    passed_over = ""
    for buffer in buffers:
        if buffer.full_name in unwell:
            passed_over += f" {unwell[buffer.full_name]}"
        else:
            choices.append(Choice(buffer, passed_over))
    return [*choices, *(Choice(buffer, is_well=False) for buffer in buffers if buffer.full_name in unwell)]


def buffers_of(topology: Topology, site: str) -> list[DataLocation]:
    """Return the buffers of a site, first priority first."""
    return [buffer for buffer in topology.of_type(LocationType.BUFFER) if buffer.site == site]


def destination(session: Session, topology: Topology, *, origin: str, site: str) -> Choice:
    """Return where a new transfer from location `origin` to `site` lands.

    What a route says, else the first buffer by priority; if that is not well, the next one that is.
    """
    first = topology.destination(origin=origin, site=site)
    others = [buffer for buffer in buffers_of(topology, site) if buffer.full_name != first.full_name]
    return by_health(session, [first, *others])[0]
