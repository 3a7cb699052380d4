"""Whether the system as a whole is ready, degraded, or not ready; each with its reasons, for people and for scripts."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, text

from include.health.heartbeat import Heartbeat, heartbeats
from include.lanes import lanes_of_host
from include.operations.decide import clock
from include.plurals import counted
from include.topology import Topology

WATCH_SECONDS = 300.0
"""Alarms are judged every minute; a round may be late, four are not."""

APPLIED = text("select sha256 from topology_version order by id desc limit 1")
ALARMS = text(
    """
    select severity, sentence from alarm where raised_at is not null and cleared_at is null
      and severity in ('warning', 'critical') order by severity = 'critical' desc, id limit 20
    """
)
JUDGED = text("select extract(epoch from clock_timestamp() - judged_at)::float from alarm_watch where id = 1")


class State(StrEnum):
    """Of the whole."""

    READY = "ready"
    DEGRADED = "degraded"
    """It works, and something should be looked at."""
    NOT_READY = "not_ready"
    """It takes no work."""

    @property
    def exit_code(self) -> int:
        """Of `dts health`."""
        return {State.READY: 0, State.DEGRADED: 3, State.NOT_READY: 4}[self]


@dataclass(frozen=True, kw_only=True)
class Health:
    """How it is, and why."""

    state: State
    reasons: tuple[str, ...]
    hosts: dict[str, Heartbeat]


def health(connection: Connection, *, topology: Topology) -> Health:
    """Look at it; `topology` is that of the file of whoever asks."""
    hosts = heartbeats(connection)
    refusals = tuple(_not_ready(connection, topology))
    doubts = (*_of_watch(connection), *of_hosts(hosts, topology=topology), *_of_alarms(connection))
    state = State.NOT_READY if refusals else State.DEGRADED if doubts else State.READY
    return Health(state=state, reasons=(*refusals, *doubts), hosts=hosts)


def unreachable(why: str) -> Health:
    """Return what is said when ops-db does not answer."""
    return Health(state=State.NOT_READY, reasons=(why,), hosts={})


def _not_ready(connection: Connection, topology: Topology) -> Iterator[str]:
    applied = connection.execute(APPLIED).scalar()
    if applied is None:
        yield "No topology was ever applied: `dts topology apply`."
    elif applied != topology.sha256:
        yield "This process reads another topology than the applied one: `dts topology apply`, or the right file."


def _of_watch(connection: Connection) -> Iterator[str]:
    seconds = connection.execute(JUDGED).scalar()
    if seconds is None:
        yield "Alarms were never judged: does the DAG monitoring run?"
    elif seconds > WATCH_SECONDS:
        yield f"Alarms were last judged {seconds / 60:.0f} minutes ago: does the DAG monitoring run?"


def of_hosts(hosts: dict[str, Heartbeat], *, topology: Topology) -> Iterator[str]:
    """Yield what is the matter with worker hosts, by their heartbeats. A host that never had one says nothing."""
    for host in topology.hosts:
        beat = hosts.get(host.name)
        if beat is None:
            continue
        if beat.stopped_at is not None:
            yield f"The worker on {host.name} was stopped at {clock(beat.stopped_at)}."
            continue
        if not beat.is_fresh:
            yield f"The last heartbeat of {host.name} was {beat.age_seconds:.0f} seconds ago."
            continue
        if beat.topology_sha256 != topology.sha256:
            yield f"The worker on {host.name} reads another topology file: restart it with the applied one."
        missing = [lane.name for lane in lanes_of_host(topology, host.name) if lane.name not in beat.queues]
        if missing:
            yield f"The worker on {host.name} does not listen to {counted(len(missing), 'queue')}: {missing[0]} …"
        for location, why in beat.unreached.items():
            yield f"{host.name} does not reach {location}: {why}."
    versions = {beat.version for beat in hosts.values() if beat.is_fresh}
    if len(versions) > 1:
        yield f"Worker hosts run different versions: {', '.join(sorted(versions))}."


def _of_alarms(connection: Connection) -> Iterator[str]:
    for row in connection.execute(ALARMS):
        yield f"{row.severity}: {row.sentence}"
