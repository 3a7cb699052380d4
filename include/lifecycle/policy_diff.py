"""What another topology would free, and what it would keep longer, location by location. Changes nothing.

Found by the query that deletion plans with, and answered by the gate itself, in transactions that are rolled back.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from include.errors import TopologyError
from include.lifecycle.brake import ROOM, TooMuch, policy_sha256, too_much
from include.lifecycle.gate import Allowed, would_say
from include.lifecycle.pressure import Found, how_much_to_free, what_goes
from include.lifecycle.retention import candidates
from include.ops_db.places import applied_topology, location_ids
from include.ops_db.tables import TopologyVersion
from include.topology import DataLocation, LocationType, Topology

PACKAGES_COUNTED = 100_000
PACKAGES_ASKED = 200
"""About so many packages a location the gate is asked; further ones are taken for what the query says of them."""
EXAMPLES = 3

KIND_OF = text(
    "select p.id, i.name as instrument, m.name as module from raw_data_package p"
    " join instrument_module m on m.id = p.instrument_module_id join instrument i on i.id = m.instrument_id"
    " where p.id = any(:packages)"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """Some packages at a location."""

    packages: int
    copies: int
    size_bytes: int
    examples: tuple[str, ...]
    """Names of the first."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes at a location; nothing about it: both amounts are empty."""

    location: str
    freed: Amount
    """Would go under the new topology, by age or because it is too full by the new marks, and not under the applied."""
    kept: Amount
    """The other way round."""
    pressed_before: Amount
    """All that could go if the location were too full, under the applied one."""
    pressed_after: Amount
    unasked: int
    """Packages among them about which the gate was not asked."""
    over: TooMuch | None
    """The brake of the applied topology, if what is freed is more than it lets go at once."""


def applied_document(session: Session) -> Topology | None:
    """Return the applied topology as ops-db holds it; None before the first.

    Raises:
        TopologyError: it was applied by another version of this system, and cannot be read by this one.
    """
    document = session.scalar(select(TopologyVersion.document).order_by(TopologyVersion.id.desc()).limit(1))
    try:
        return None if document is None else Topology.model_validate(document)
    except ValueError as error:
        raise TopologyError(
            "The applied topology cannot be compared: another version of this system stored it, in words that this one"
            " does not know. `dts topology apply FILE --yes` applies another one without a comparison."
        ) from error


def differences(session: Session, *, applied: Topology, new: Topology) -> list[Difference]:
    """Compare what may go under two topologies, at each location of the new one that ops-db knows."""
    now = session.execute(select(func.now())).scalar_one()
    version = applied_topology(session)
    assert version is not None
    known = location_ids(session)
    return [
        _Comparison(
            session=session,
            applied=applied,
            new=new,
            location=location,
            here=known[location.full_name],
            version_id=version.version_id,
            now=now,
        ).made()
        for location in new.data_locations
        if location.location_type is not LocationType.LONG_TERM_ARCHIVE and location.full_name in known
    ]


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """Of one location."""

    session: Session
    applied: Topology
    new: Topology
    location: DataLocation
    here: int
    version_id: int
    """The applied one's; nothing that would refer to it stays."""
    now: datetime

    def made(self) -> Difference:
        before, after = self._going(self.applied), self._going(self.new)
        affected = self._affected(before, after)
        asked = set(affected[:PACKAGES_ASKED])
        went, goes = self._gate(self.applied), self._gate(self.new)
        was = {each for each in affected if each in before and (each not in asked or went(each))}
        will = {each for each in affected if each in after and (each not in asked or goes(each))}
        freed = _amount(after[each] for each in affected if each in will - was)
        return Difference(
            location=self.location.full_name,
            freed=freed,
            kept=_amount(before[each] for each in affected if each in was - will),
            pressed_before=_amount(self._look(self.applied, pressure=True)),
            pressed_after=_amount(self._look(self.new, pressure=True)),
            unasked=len(affected) - len(asked),
            over=self._over(freed),
        )

    def _going(self, topology: Topology) -> dict[int, Found]:
        """What would go by age, and because the location would be too full by these marks; by id, first comes first."""
        found = what_goes(partial(self._look, topology), to_free_bytes=self._to_free(topology))
        return {row.id: row for row in found}

    def _look(self, topology: Topology, *, pressure: bool = False) -> Sequence[Found]:
        place = self._place(topology)
        if place is None:
            return ()
        return candidates(
            self.session,
            data_location_id=self.here,
            policy=topology.policy,
            now=self.now,
            most=PACKAGES_COUNTED,
            pressure=pressure,
            with_operations=True,
            # Another policy forgets what people have said to the brake's questions.
            with_held=topology is self.new and self._no_is_forgotten(place),
        )

    def _place(self, topology: Topology) -> DataLocation | None:
        return next((each for each in topology.data_locations if each.full_name == self.location.full_name), None)

    def _to_free(self, topology: Topology) -> int:
        place = self._place(topology)
        return 0 if place is None else how_much_to_free(self.session, location=place, by_new_marks=True)

    def _no_is_forgotten(self, place: DataLocation) -> bool:
        before = self._place(self.applied)
        return before is None or policy_sha256(self.applied, before) != policy_sha256(self.new, place)

    def _affected(self, before: Collection[int], after: Collection[int]) -> Sequence[int]:
        """Leave out packages for which nothing changes: they would go by both, by the same rules and archives."""
        ids = sorted({*before, *after})
        if _shape(self.applied) != _shape(self.new):
            return ids
        rows = self.session.execute(KIND_OF, {"packages": ids}).all()
        by_other_rules = {row.id for row in rows if self._rule(self.applied, row) != self._rule(self.new, row)}
        return [each for each in ids if each in by_other_rules or (each in before) != (each in after)]

    def _rule(self, topology: Topology, row: Row[tuple[int, str, str]]) -> object:
        rule = topology.policy.retention_at(
            location_type=self.location.location_type,
            full_name=self.location.full_name,
            instrument=row.instrument,
            module=row.module,
        )
        return rule.numbers

    def _gate(self, topology: Topology) -> Callable[[int], bool]:
        """Return what says whether the gate would let a package go, of those that would go by `topology`."""
        pressure = self._to_free(topology) > 0

        def may_go(package: int) -> bool:
            answer = would_say(
                self.session,
                raw_data_package_id=package,
                location=topology.location(self.location.full_name),
                topology=topology,
                topology_version_id=self.version_id,
                now=self.now,
                pressure=pressure,
            )
            return isinstance(answer, Allowed)

        return may_go

    def _over(self, freed: Amount) -> TooMuch | None:
        if not freed.packages:
            return None
        room = self.session.execute(ROOM, {"here": self.here}).scalar_one()
        brake, where = self.applied.policy.brake, self.location.full_name
        return too_much(brake, going=freed.size_bytes, under_way=0, room=room, where=where)


def _shape(topology: Topology) -> object:
    """What the gate asks of a topology besides its policy."""
    places = {(each.full_name, each.site, each.location_type) for each in topology.data_locations}
    return places, {(each.from_location, each.to_location, each.moved_by) for each in topology.routes}


def _amount(rows: Iterable[Found]) -> Amount:
    found = list(rows)
    return Amount(
        packages=len(found),
        copies=sum(row.copies for row in found),
        size_bytes=sum(row.size_bytes for row in found),
        examples=tuple(row.name for row in found[:EXAMPLES]),
    )
