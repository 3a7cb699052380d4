"""Alarms about workers: one that does not answer, or does not listen to what it should."""

from collections.abc import Iterator

from include.alarm_rules import Severity
from include.lanes import Lane, all_lanes, lanes_of_host
from include.notifications.alarm import Judged
from include.notifications.observed import Observed
from include.plurals import counted
from include.topology import Host, Topology

NAMED = 3


def of_workers(seen: Observed, *, topology: Topology) -> Iterator[Judged]:
    """Say which hosts of the topology have no worker for their lanes."""
    unheard = _unheard(seen, topology=topology)
    for host in topology.hosts:
        lanes = [lane for lane in lanes_of_host(topology, host.name) if lane.name in unheard.get(host.name, ())]
        if lanes:
            yield _missing(host, lanes, seen=seen, topology=topology, unheard=unheard)


def _unheard(seen: Observed, *, topology: Topology) -> dict[str, set[str]]:
    """Return the queues that a host should listen to and does not, by host."""
    if seen.listening is not None:
        answers = seen.listening
        return {
            host.name: {lane.name for lane in lanes_of_host(topology, host.name)} - answers.get(host.name, frozenset())
            for host in topology.hosts
        }
    found: dict[str, set[str]] = {}
    nobody = {lane.name for lane in seen.lanes if lane.nobody}
    for lane in all_lanes(topology):
        if lane.name in nobody:
            for name in lane.location.hosts:
                found.setdefault(name, set()).add(lane.name)
    return found


def _missing(
    host: Host, lanes: list[Lane], *, seen: Observed, topology: Topology, unheard: dict[str, set[str]]
) -> Judged:
    rule = topology.alarms.worker_missing
    due = {lane.name: lane.due for lane in seen.lanes if lane.due}
    # Another host of the location may do it; and nothing is urgent where nothing waits.
    urgent = [
        lane for lane in lanes if lane.name in due and all(lane.name in unheard.get(h, ()) for h in lane.location.hosts)
    ]
    waiting = "; ".join(f"{counted(due[lane.name], 'operation')} of {lane.name}" for lane in urgent[:NAMED])
    waits = f" Waiting: {waiting}{', and others' if len(urgent) > NAMED else ''}." if urgent else " Nothing waits."
    return Judged(
        key=f"worker_missing:{host.name}",
        rule="worker_missing",
        severity=rule.severity if urgent else min(rule.severity, Severity.WARNING, key=lambda each: each.rank),
        sentence=f"{_what(host, lanes, seen=seen, topology=topology)}{waits}",
        outage=host.site,
        site=host.site,
        lasting_seconds=rule.seconds,
    )


def _what(host: Host, lanes: list[Lane], *, seen: Observed, topology: Topology) -> str:
    queues = ", ".join(lane.name for lane in lanes[:NAMED]) + (", …" if len(lanes) > NAMED else "")
    if seen.listening is None:
        return f"The last plans found no worker on {host.name} for {queues}."
    if host.name in seen.listening:
        return f"The worker on {host.name} does not listen to {queues}: `dts topology queues --host {host.name}`."
    others = [other.name for other in topology.hosts if other.site == host.site and other.name != host.name]
    if others and not any(other in seen.listening for other in others):
        return f"No worker at {host.site} answers, {host.name} neither: rather the link to {host.site} than the worker."
    return f"The worker on {host.name} does not answer: is it running, and does it reach the broker?"
