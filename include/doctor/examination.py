"""Everything that is looked at, one thing after the other. What cannot be had says why, and the next one follows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from include.doctor.broker import look_at_broker
from include.doctor.clock import is_kept_right
from include.doctor.connections import Connections, ops_db_url
from include.doctor.finding import Area, Finding, Verdict, not_measured
from include.doctor.forecast import OCEAN_SECONDS
from include.doctor.judge_clock import judge_ntp, judge_offset
from include.doctor.judge_kernel import judge_kernel
from include.doctor.judge_programs import judge_programs
from include.doctor.kernel import Kernel, read_kernel
from include.doctor.limits import Limits
from include.doctor.look_at_archive import look_at_archive
from include.doctor.look_at_disk import look_at_disk
from include.doctor.look_at_peer import look_at_peer
from include.doctor.ops_db import judge_ops_db, look_at_ops_db
from include.doctor.peers import Peer, archives_of, disks_of, peers_of
from include.doctor.programs import read_programs
from include.errors import DtsError
from include.topology import Topology


@dataclass(frozen=True)
class Patient:
    """The host, and with what it reaches others. An unnamed host is looked at as far as that goes without a name."""

    host: str | None
    topology: Topology
    connections: Connections
    ops_db_url: str | None = field(default=None, repr=False)
    broker_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Trip:
    """A round trip that was measured, and whereto."""

    seconds: float
    where: str


class Examination:
    """One visit. `on_step` is told what is looked at next."""

    def __init__(self, patient: Patient, *, limits: Limits, on_step: Callable[[str], None] = lambda _: None) -> None:
        self._patient = patient
        self._limits = limits
        self._on_step = on_step
        self._kernel: Kernel = read_kernel()
        self._to_peers: list[_Trip] = []
        self._to_ops_db: list[_Trip] = []

    def findings(self) -> list[Finding]:
        """Look at everything, and return what was found in the order in which people read it."""
        policy, limits = self._patient.topology.policy, self._limits
        steps: list[tuple[Area, str, Callable[[], list[Finding]]]] = [
            (Area.PROGRAMS, "programs", lambda: judge_programs(read_programs())),
            (Area.PROGRAMS, "broker", self._broker),
            (Area.OPS_DB, "ops-db", self._ops_db),
            (Area.CLOCK, "NTP", _ntp),
        ]
        for location in disks_of(self._patient.topology, self._patient.host):
            look = partial(look_at_disk, location, policy=policy, limits=limits)
            steps.append((Area.DISK, location.full_name, look))
        if self._patient.host is not None:
            for archive in archives_of(self._patient.topology, self._patient.host):
                put = partial(look_at_archive, archive, connections=self._patient.connections, limits=limits)
                steps.append((Area.ARCHIVE, archive.full_name, put))
            peers = peers_of(self._patient.topology, self._patient.host)
            steps += [(Area.LINK, peer.location.full_name, partial(self._peer, peer)) for peer in peers]
        steps.append((Area.KERNEL, "kernel", self._judged_kernel))  # the last: by then round trips are known
        found = [finding for area, what, look in steps for finding in self._tried(area, what, look)]
        found += self._not_for_the_unnamed()
        order = list(Area)
        return sorted(found, key=lambda finding: order.index(finding.area))

    def _tried(self, area: Area, what: str, look: Callable[[], list[Finding]]) -> list[Finding]:
        self._on_step(f"{area}: {what}")
        try:
            return look()
        except Exception as error:  # noqa: BLE001 - whatever one look meets, the others must follow
            return [not_measured(area, what, why=f"{type(error).__name__}: {error}")]

    def _broker(self) -> list[Finding]:
        if not self._patient.broker_url:
            return [not_measured(Area.PROGRAMS, "broker", why="AIRFLOW__CELERY__BROKER_URL is not set here")]
        return [look_at_broker(self._patient.broker_url)]

    def _ops_db(self) -> list[Finding]:
        url = self._patient.ops_db_url
        if url is None and (connection := self._patient.connections.find("ops_db")) is not None:
            url = ops_db_url(connection)
        if url is None:
            why = "neither DTS_OPS_DB_URL nor AIRFLOW_CONN_OPS_DB is set here"
            return [not_measured(Area.OPS_DB, "answers", why=why)]
        try:
            found = look_at_ops_db(url)
        except DtsError as error:
            return [_no_ops_db(error)]
        self._to_ops_db.append(_Trip(found.round_trip_seconds, "ops-db"))
        return [judge_offset("ops-db", found.offset), *judge_ops_db(found, topology=self._patient.topology)]

    def _peer(self, peer: Peer) -> list[Finding]:
        report = look_at_peer(peer, connections=self._patient.connections, kernel=self._kernel, limits=self._limits)
        if report.round_trip_seconds is not None:
            self._to_peers.append(_Trip(report.round_trip_seconds, peer.location.full_name))
        return report.findings

    def _judged_kernel(self) -> list[Finding]:
        """Judge it by the farthest peer; a host without one by ops-db, which is where others pull to."""
        trips = self._to_peers or self._to_ops_db
        trip = max(trips, key=lambda one: one.seconds, default=_Trip(OCEAN_SECONDS, "a site across an ocean"))
        if self._limits.round_trip_seconds is not None:
            trip = _Trip(self._limits.round_trip_seconds, "a site")
        return judge_kernel(self._kernel, line=self._limits.line(trip.seconds), where=trip.where)

    def _not_for_the_unnamed(self) -> list[Finding]:
        if self._patient.host is not None:
            return []
        hosts = ", ".join(host.name for host in self._patient.topology.hosts)
        why = f"which host this is was not said: `--host` or DTS_HOST, one of {hosts}"
        return [not_measured(area, "all", why=why) for area in (Area.LINK, Area.ARCHIVE)]


def _ntp() -> list[Finding]:
    kept = is_kept_right()
    if kept is None:
        return [not_measured(Area.CLOCK, "NTP", why="neither timedatectl nor chronyc answers here")]
    return [judge_ntp(kept)]


def _no_ops_db(error: DtsError) -> Finding:
    return Finding(
        area=Area.OPS_DB,
        what="answers",
        verdict=Verdict.BAD,
        sentence=f"It cannot be reached: {error}.",
        advice="Is it running, is the line up, and is DTS_OPS_DB_URL right? Nothing goes on without it.",
    )
