"""Alarms about workers: one that does not answer, or does not listen to what it should."""

from collections.abc import Iterator

from include.alarm_rules import Severity, WorkerMissing
from include.health.heartbeat import MISSED_SECONDS, Heartbeat
from include.lanes import Lane, all_lanes, lanes_of_host
from include.notifications.alarm import Judged
from include.notifications.observed import Observed
from include.operations.decide import clock
from include.plurals import counted
from include.topology import Host, Topology

NAMED = 3
ROUND_EARLY_SECONDS = 30.0


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
    for host in topology.hosts:
        beat = seen.heartbeats.get(host.name)
        if beat is not None and _is_silent(beat):
            found[host.name] = {lane.name for lane in lanes_of_host(topology, host.name)}
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
        lasting_seconds=_lasting(host, seen=seen, rule=rule),
    )


def _is_silent(beat: Heartbeat) -> bool:
    return beat.stopped_at is not None or beat.age_seconds >= MISSED_SECONDS


def _lasting(host: Host, *, seen: Observed, rule: WorkerMissing) -> float:
    """Return how much longer it must be missing: since its last heartbeat, not since the first round that missed it.

    Rounds are a minute apart: one that comes half a minute too early says it, else the next one would be too late.
    """
    beat = seen.heartbeats.get(host.name)
    if beat is None or not _is_silent(beat):
        return rule.seconds
    return max(0.0, rule.seconds - ROUND_EARLY_SECONDS - beat.age_seconds)


def _what(host: Host, lanes: list[Lane], *, seen: Observed, topology: Topology) -> str:
    queues = ", ".join(lane.name for lane in lanes[:NAMED]) + (", …" if len(lanes) > NAMED else "")
    beat = seen.heartbeats.get(host.name)
    if seen.listening is None:
        if beat is not None and _is_silent(beat):
            return _silent(host, beat, seen=seen, topology=topology)
        return f"The last plans found no worker on {host.name} for {queues}."
    if host.name in seen.listening:
        return f"The worker on {host.name} does not listen to {queues}: `dts topology queues --host {host.name}`."
    if beat is not None:
        return _silent(host, beat, seen=seen, topology=topology)
    others = [other.name for other in topology.hosts if other.site == host.site and other.name != host.name]
    if seen.reached.get(host.site) is False or (others and not any(other in seen.listening for other in others)):
        return f"No worker at {host.site} answers, {host.name} neither: rather the link to {host.site} than the worker."
    return f"The worker on {host.name} does not answer: is it running, and does it reach the broker?"


def _silent(host: Host, beat: Heartbeat, *, seen: Observed, topology: Topology) -> str:
    """Tell a worker that was stopped from one that died, and both from a link that is cut, by the heartbeats."""
    if beat.stopped_at is not None:
        return f"The worker on {host.name} was stopped at {clock(beat.stopped_at)}, and not started again: start it."
    if not _is_silent(beat):
        return (
            f"The worker on {host.name} runs (its last heartbeat came {beat.age_seconds:.0f} seconds ago), but does not"
            " answer through the broker: does it reach Redis?"
        )
    last = f"the last heartbeat of {host.name} came {beat.age_seconds:.0f} seconds ago"
    others = [other for other in topology.hosts if other.site == host.site and other.name != host.name]
    heard = [
        each.name for each in others if each.name in seen.heartbeats and not _is_silent(seen.heartbeats[each.name])
    ]
    if heard:
        return f"The worker on {host.name} is dead, or its host is: {last}, and that of {heard[0]} beside it goes on."
    reached = seen.reached.get(host.site)
    if reached:
        return f"The worker on {host.name} is dead, or its host is: {last}, and the link to {host.site} is there."
    if reached is False:
        return f"The link to {host.site} is cut: {last}, and no server there answers. The worker may well be running."
    return f"{last[0].upper()}{last[1:]}: the worker or its host is dead, or the link to {host.site} is cut."
