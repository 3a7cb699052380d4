"""Look at the way to a buffer of another site that this host pulls from."""

from contextlib import nullcontext
from dataclasses import dataclass

from include.doctor.connections import Connections, sftp_address
from include.doctor.finding import Area, Finding, Verdict, not_measured
from include.doctor.forecast import MOST_STREAMS
from include.doctor.judge_link import judge_peer, speed
from include.doctor.kernel import Kernel
from include.doctor.limits import Limits
from include.doctor.pushed_file import pushed_file
from include.doctor.sftp_speed import Bounds, peer_speed
from include.errors import BadInputError, DtsError
from include.topology import DataLocation, DiskStorage
from include.transfer import adapt
from include.transfer.kernel import this_host


@dataclass(frozen=True, slots=True)
class PeerReport:
    """The findings, and the round trip where it could be measured."""

    findings: list[Finding]
    round_trip_seconds: float | None = None


def look_at_peer(peer: DataLocation, *, connections: Connections, kernel: Kernel, limits: Limits) -> PeerReport:
    """Return what is found about connecting and reading; and about pushing, where a test file may be written."""
    assert isinstance(peer.storage, DiskStorage)
    name = peer.full_name
    try:
        address = sftp_address(connections.need(name), connection_id=name, root=peer.storage.root)
    except BadInputError as error:
        return PeerReport([not_measured(Area.LINK, f"{name}, reading", why=str(error))])
    pushed: list[Finding] = []
    try:
        with pushed_file(address, seconds=limits.seconds) if limits.write_test else nullcontext() as push:
            if push is not None:
                what = f"{name}, one connection, push"
                how = "into a test file, removed afterwards"
                pushed = [speed(Area.LINK, what, push, need=limits.need, how=how, is_one_of_many=True)]
            bounds = Bounds(limits.seconds, limits.most_bytes)
            found = peer_speed(address, bounds=bounds, streams_for=_streams)
    except DtsError as error:
        return PeerReport([*pushed, _unreachable(name, error)])
    line = limits.line(found.round_trip_seconds)
    findings = judge_peer(name, found, kernel=kernel, line=line, need=limits.need)
    return PeerReport([*findings, *pushed], found.round_trip_seconds)


def _streams(round_trip_seconds: float) -> int:
    """As many as a transfer would begin with."""
    return min(adapt.first(round_trip_seconds=round_trip_seconds, host=this_host()).streams, MOST_STREAMS)


def _unreachable(name: str, error: DtsError) -> Finding:
    return Finding(
        area=Area.LINK,
        what=f"{name}, reached",
        verdict=Verdict.BAD,
        sentence=f"It cannot be read: {error}.",
        advice=f"Is the line up, does the server run there, and is the connection {name} right?",
    )
