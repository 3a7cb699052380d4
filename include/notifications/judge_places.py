"""Alarms about places and the links between them."""

from collections.abc import Iterator

from include.alarm_rules import AlarmRules, Severity
from include.lifecycle.alarms import Alarm, Cut, Trouble, hours_rule, tell
from include.notifications.alarm import Judged, link
from include.notifications.observed import Observed
from include.ops_db.measurements import HowFull
from include.ops_db.states import Condition
from include.topology import Topology

CRITICAL = {Condition.READ_ONLY, Condition.GONE}


def of_places(seen: Observed, *, topology: Topology) -> Iterator[Judged]:
    """Say which locations are unwell, were not looked at, or will soon be full."""
    for told in tell(dict(seen.places), topology=topology, cuts=seen.cuts, now=seen.now):
        place = seen.places[told.location]
        match told.trouble:
            case Trouble.UNWELL:
                yield _unwell(told, place, rules=topology.alarms)
            case Trouble.SILENT:
                yield _about(told, place, rule="location_silent", severity=topology.alarms.location_silent.severity)
            case Trouble.FILLING:
                yield from _filling(told, place, topology=topology)


def _unwell(told: Alarm, place: HowFull, *, rules: AlarmRules) -> Judged:
    severity = rules.location_unwell.severity
    if place.condition in CRITICAL:
        severity = Severity.CRITICAL
    elif place.condition is Condition.PRESSED:  # deletion is at it
        severity = Severity.INFO
    return _about(told, place, rule="location_unwell", severity=severity)


def _filling(told: Alarm, place: HowFull, *, topology: Topology) -> Iterator[Judged]:
    name, rule = hours_rule(topology.alarms, topology.location(told.location).location_type)
    hours = told.hours_left
    if hours is None or hours > rule.hours:  # behind a cut link people are told earlier, by `dts status`
        return
    outage = place.site
    if told.cut is not None:
        outage = outage_of(told.cut, topology=topology)
    severity = Severity.CRITICAL if hours <= rule.critical_hours else rule.severity
    yield _about(told, place, rule=name, severity=severity, outage=outage)


def _about(told: Alarm, place: HowFull, *, rule: str, severity: Severity, outage: str | None = None) -> Judged:
    return Judged(
        key=f"{rule}:{told.location}",
        rule=rule,
        severity=severity,
        sentence=told.sentence,
        outage=outage or place.site,
        site=place.site,
        location=told.location,
    )


def of_links(seen: Observed, *, topology: Topology) -> Iterator[Judged]:
    """Say between which sites nothing gets through."""
    rule = topology.alarms.link_down
    for cut in seen.cuts:
        yield Judged(
            key=f"link_down:{cut.site}:{cut.destination}",
            rule="link_down",
            severity=rule.severity,
            sentence=f"Transfers from {cut.site} to {cut.destination} do not get through: `dts explain operation:"
            f"{cut.operation_id}`.",
            outage=outage_of(cut, topology=topology),
            site=cut.site,
            location=cut.destination,
            lasting_seconds=rule.seconds,
        )


def outage_of(cut: Cut, *, topology: Topology) -> str:
    """Return what the outage of a way is called; its end may have left the topology."""
    sites = {location.full_name: location.site for location in topology.data_locations}
    return link(cut.site, sites.get(cut.destination, cut.destination))
