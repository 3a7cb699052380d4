"""Look at the way to a buffer of another site, in the direction in which this host uses it."""

from contextlib import nullcontext
from dataclasses import dataclass

from include.doctor.connections import Connections, sftp_address
from include.doctor.finding import Area, Finding, Verdict, not_measured
from include.doctor.forecast import MOST_STREAMS
from include.doctor.judge_link import judge_connecting, judge_peer, speed
from include.doctor.kernel import Kernel
from include.doctor.limits import Limits
from include.doctor.peers import Peer
from include.doctor.pushed_file import pushed_files
from include.doctor.rates import Rate
from include.doctor.sftp_speed import Bounds, PeerSpeed, peer_speed
from include.errors import BadInputError, DtsError
from include.storage.sftp_connection import SftpAddress
from include.topology import DiskStorage
from include.transfer import adapt, push_streams
from include.transfer.kernel import this_host


@dataclass(frozen=True, slots=True)
class PeerReport:
    """The findings, and the round trip where it could be measured."""

    findings: list[Finding]
    round_trip_seconds: float | None = None


def look_at_peer(peer: Peer, *, connections: Connections, kernel: Kernel, limits: Limits) -> PeerReport:
    """Return what is found about connecting, and reading or writing; bytes are written where a test file may be."""
    assert isinstance(peer.location.storage, DiskStorage)
    name = peer.location.full_name
    used = "reading" if peer.is_read else "pushing"
    try:
        address = sftp_address(connections.need(name), connection_id=name, root=peer.location.storage.root)
    except BadInputError as error:
        return PeerReport([not_measured(Area.LINK, f"{name}, {used}", why=str(error))])
    written: list[Finding] = []
    try:
        with pushed_files(address, seconds=limits.seconds) if limits.write_test else nullcontext() as push:
            if push is not None:
                written = [_one_push(name, push, need=limits.need)]
            bounds = Bounds(limits.seconds, limits.most_bytes)
            found = peer_speed(address, bounds=bounds, streams_for=_streams, is_read=peer.is_read)
        if peer.is_written:
            written.append(_many_pushes(name, address, found=found, limits=limits))
    except DtsError as error:
        return PeerReport([*written, _unreachable(name, error, is_read=peer.is_read)])
    if not peer.is_read:
        return PeerReport([*judge_connecting(name, found), *written], found.round_trip_seconds)
    line = limits.line(found.round_trip_seconds)
    findings = judge_peer(name, found, kernel=kernel, line=line, need=limits.need)
    return PeerReport([*findings, *written], found.round_trip_seconds)


def _one_push(name: str, push: Rate, *, need: float) -> Finding:
    how = "into a test file, removed afterwards"
    return speed(Area.LINK, f"{name}, one connection, push", push, need=need, how=how, is_one_of_many=True)


def _many_pushes(name: str, address: SftpAddress, *, found: PeerSpeed, limits: Limits) -> Finding:
    what = f"{name}, many connections, push"
    if not limits.write_test:
        why = "a route pushes there, and what it carries is seen only by writing"
        return not_measured(Area.LINK, what, why=why, advice="`--write-test` puts test files there and removes them.")
    first = push_streams.first(round_trip_seconds=found.round_trip_seconds, host=this_host())
    streams = min(first.streams, MOST_STREAMS)
    with pushed_files(address, seconds=limits.seconds, connections=streams) as push:
        how = f"with {streams}, into test files, removed afterwards"
        return speed(Area.LINK, what, push, need=limits.need, how=how)


def _streams(round_trip_seconds: float) -> int:
    """As many as a pulled transfer would begin with."""
    return min(adapt.first(round_trip_seconds=round_trip_seconds, host=this_host()).streams, MOST_STREAMS)


def _unreachable(name: str, error: DtsError, *, is_read: bool) -> Finding:
    return Finding(
        area=Area.LINK,
        what=f"{name}, reached",
        verdict=Verdict.BAD,
        sentence=f"It cannot be {'read' if is_read else 'reached'}: {error}.",
        advice=f"Is the line up, does the server run there, and is the connection {name} right?",
    )
