"""Whom a host reads and whom it writes, by what the routes say; and how far the doctor looks at whom it writes."""

import json
from pathlib import Path

import pytest

from include.doctor.connections import Connections
from include.doctor.finding import Verdict
from include.doctor.kernel import read_kernel
from include.doctor.limits import Limits
from include.doctor.look_at_peer import look_at_peer
from include.doctor.peers import Peer, peers_of
from include.topology import LocationType, MovedBy, Route, Topology, load_topology
from tests.observatory import SANDBOX, sandbox_topology


def with_route(origin: str, destination: str, moved_by: MovedBy) -> Topology:
    route = Route(from_location=origin, to_location=destination, moved_by=moved_by)
    return load_topology(SANDBOX).model_copy(update={"routes": (route,)})


def seen(topology: Topology, host: str) -> dict[str, tuple[bool, bool]]:
    return {peer.location.full_name: (peer.is_read, peer.is_written) for peer in peers_of(topology, host)}


READ, WRITTEN, BOTH = (True, False), (False, True), (True, True)


def test_without_routes_everything_is_pulled():
    topology = load_topology(SANDBOX)
    assert seen(topology, "cologne") == {"ccat_buffer": READ, "us_buffer": READ}
    assert seen(topology, "us") == {"ccat_buffer": READ, "cologne_buffer": READ}
    assert seen(topology, "ccat-buffer") == {}


def test_who_pushes_writes_and_who_is_pushed_to_has_nothing_to_do_with_it():
    topology = with_route("ccat_buffer", "cologne_buffer", MovedBy.PUSH)
    assert seen(topology, "ccat-buffer") == {"cologne_buffer": WRITTEN}
    assert seen(topology, "cologne") == {"us_buffer": READ}
    assert seen(topology, "us") == {"ccat_buffer": READ, "cologne_buffer": READ}


def test_who_pulls_and_pushes_reads_and_writes():
    topology = with_route("cologne_buffer", "us_buffer", MovedBy.PUSH)
    assert seen(topology, "cologne") == {"ccat_buffer": READ, "us_buffer": BOTH}
    assert seen(topology, "us") == {"ccat_buffer": READ}


def test_whose_archive_takes_straight_from_a_buffer_reads_there():
    topology = with_route("ccat_buffer", "cologne_archive", MovedBy.DIRECT)
    assert seen(topology, "cologne") == {"ccat_buffer": READ, "us_buffer": READ}
    assert seen(topology, "ccat-buffer") == {}


@pytest.fixture
def pushed_to(tmp_path: Path, server) -> tuple[Peer, Connections]:
    buffer = next(one for one in sandbox_topology(tmp_path).of_type(LocationType.BUFFER) if one.site == "us")
    Path(buffer.storage.root).mkdir(parents=True)
    extra = {"key_file": str(server.client_key.private), "host_key": server.host_key.public}
    sftp = {"conn_type": "sftp", "host": server.host, "port": server.port, "login": server.user, "extra": extra}
    return Peer(buffer, is_read=False, is_written=True), Connections({"AIRFLOW_CONN_US_BUFFER": json.dumps(sftp)})


def looked_at(pushed_to: tuple[Peer, Connections], *, write_test: bool) -> dict[str, Verdict]:
    peer, connections = pushed_to
    limits = Limits(seconds=0.2, peak_bytes_a_day=10**9, write_test=write_test)
    report = look_at_peer(peer, connections=connections, kernel=read_kernel(), limits=limits)
    assert report.round_trip_seconds is not None
    assert list(Path(peer.location.storage.root).iterdir()) == []
    return {finding.what: finding.verdict for finding in report.findings}


def test_a_peer_that_is_written_only_is_not_read(pushed_to):
    assert looked_at(pushed_to, write_test=False) == {
        "us_buffer, round trip": Verdict.GOOD,
        "us_buffer, connect": Verdict.GOOD,
        "us_buffer, cipher": Verdict.GOOD,
        "us_buffer, many connections, push": Verdict.NOT_MEASURED,
    }


def test_a_peer_that_is_written_is_pushed_to_where_it_is_allowed(pushed_to):
    found = looked_at(pushed_to, write_test=True)
    assert found["us_buffer, one connection, push"] == Verdict.GOOD
    assert found["us_buffer, many connections, push"] == Verdict.GOOD
    assert "us_buffer, one connection" not in found
