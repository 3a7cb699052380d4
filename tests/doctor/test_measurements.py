"""Measured on real disks and servers. Speeds are whatever they are: what is tested is that they are, and what stays."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from include.doctor.broker import look_at_broker
from include.doctor.disk_speed import CHUNK_BYTES, disk_speed
from include.doctor.filesystem import filesystem_of
from include.doctor.finding import Verdict
from include.doctor.kernel import read_kernel
from include.doctor.ops_db import judge_ops_db, look_at_ops_db
from include.doctor.pushed_file import pushed_files
from include.doctor.rates import Sample, steady, warm_up_seconds
from include.doctor.s3_speed import s3_clock, s3_speed
from include.doctor.sftp_speed import SMALLEST_BYTES, Bounds, peer_speed
from include.errors import MissingFileError, NoSpaceError, PermanentError, TransientError
from include.sandbox.ports import free_port
from include.storage.s3 import S3Storage

MB = 1_000_000
SHORT = Bounds(seconds=0.5, most_bytes=200 * MB)


def two(_: float) -> int:
    return 2


def test_a_peer_is_read_with_one_connection_and_with_many(peer):
    package = Path(peer.root) / "primecam/20261120/a.tar"
    package.parent.mkdir(parents=True)
    package.write_bytes(os.urandom(SMALLEST_BYTES))
    found = peer_speed(peer, bounds=SHORT, streams_for=two)
    assert found.read == "a.tar"
    assert found.one is not None
    assert found.many is not None
    assert min(found.one.bytes, found.many.bytes) > SMALLEST_BYTES  # round and round
    assert (found.streams, found.turned_away) == (2, 0)
    assert "gcm" in found.cipher
    assert 0 < found.round_trip_seconds < found.connect_seconds
    assert [path.name for path in Path(peer.root).rglob("*")] == ["primecam", "20261120", "a.tar"]


def test_where_there_is_no_package_zeros_are_read_and_nothing_is_written(peer):
    found = peer_speed(peer, bounds=SHORT, streams_for=two)
    assert found.read == "/dev/zero, there is no package yet"
    assert found.one is not None
    assert found.one.bytes > MB
    assert list(Path(peer.root).iterdir()) == []


def test_a_measurement_ends_with_its_bytes(peer):
    found = peer_speed(peer, bounds=Bounds(seconds=60, most_bytes=5 * MB), streams_for=two)
    assert found.one is not None
    assert found.one.seconds < 10


def test_a_peer_that_is_not_there_says_so(peer):
    with pytest.raises(TransientError, match=r"sftp://.*:\d+"):
        peer_speed(replace(peer, port=free_port()), bounds=SHORT, streams_for=two)
    with pytest.raises(MissingFileError, match="nowhere is not there"):
        peer_speed(replace(peer, root="/nowhere"), bounds=SHORT, streams_for=two)


def test_a_test_file_at_a_peer_is_gone_afterwards(peer):
    with pushed_files(peer, seconds=0.2) as push:
        assert push.bytes >= 4 * 1024 * 1024
        assert [path.stat().st_size for path in Path(peer.root).glob("dts-doctor/*")] == [push.bytes]
    assert list(Path(peer.root).iterdir()) == []


def test_test_files_are_pushed_at_once_and_gone_afterwards(peer):
    with pushed_files(peer, seconds=0.2, connections=3) as push:
        sizes = [path.stat().st_size for path in Path(peer.root).glob("dts-doctor/*")]
        assert (len(sizes), sum(sizes)) == (3, push.bytes)
    assert list(Path(peer.root).iterdir()) == []


def test_a_peer_that_is_not_read_is_reached_only(peer):
    found = peer_speed(peer, bounds=SHORT, streams_for=two, is_read=False)
    assert (found.one, found.many, found.read) == (None, None, "")
    assert 0 < found.round_trip_seconds < found.connect_seconds


def test_an_archive_is_written_and_read_and_left_as_it_was(store):
    found = s3_speed(store, seconds=0.5, most_bytes=16 * MB)
    assert min(found.put.bytes_per_second, found.get.bytes_per_second) > 0
    assert found.put.bytes == found.get.bytes
    assert not found.left_behind
    assert list(S3Storage(store).list()) == []


def test_an_archive_with_another_secret_is_refused(store):
    with pytest.raises(PermanentError, match="refuses"):
        s3_speed(replace(store, secret="wrong"), seconds=0.5, most_bytes=MB)


def test_the_clock_of_an_archive_on_this_machine_is_ours(store):
    assert s3_clock(store).least_seconds < 0.5


def test_a_disk_is_measured_and_left_as_it_was(tmp_path):
    found = disk_speed(tmp_path, seconds=5, most_bytes=2 * CHUNK_BYTES)
    assert (found.write.bytes, found.read.bytes) == (2 * CHUNK_BYTES, 2 * CHUNK_BYTES)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_in_memory_is_measured_without_direct_access():
    memory = Path("/dev/shm")
    if filesystem_of(memory).kind != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    before = set(memory.iterdir())
    assert disk_speed(memory, seconds=1, most_bytes=CHUNK_BYTES).read.bytes == CHUNK_BYTES
    assert not {path for path in set(memory.iterdir()) - before if "dts-doctor" in path.name}


def test_a_disk_that_may_not_be_filled_is_not_tried(tmp_path):
    with pytest.raises(NoSpaceError):
        disk_speed(tmp_path, seconds=1, most_bytes=CHUNK_BYTES - 1)


def test_the_filesystem_is_the_one_mounted_last_above_the_folder(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
        f"23 22 0:21 / {tmp_path}/a\\040b rw shared:1 - nfs4 far:/x rw\n"
        f"24 23 0:22 / {tmp_path}/a\\040b rw - xfs /dev/sdb rw\n"
    )
    inside = tmp_path / "a b" / "c"
    inside.mkdir(parents=True)
    found = filesystem_of(inside, mounts=mounts)
    assert (found.kind, found.device, found.mounted_at) == ("xfs", "/dev/sdb", f"{tmp_path}/a b")
    assert filesystem_of(tmp_path, mounts=mounts).kind == "ext4"


def test_the_kernel_is_read(tmp_path):
    tcp, core = tmp_path / "net/ipv4", tmp_path / "net/core"
    tcp.mkdir(parents=True)
    core.mkdir()
    (tcp / "tcp_rmem").write_text("4096\t131072\t6291456\n")
    (tcp / "tcp_congestion_control").write_text("cubic\n")
    (tcp / "tcp_available_congestion_control").write_text("reno cubic\n")
    (tcp / "tcp_window_scaling").write_text("1\n")
    (tcp / "tcp_slow_start_after_idle").write_text("0\n")
    found = read_kernel(tmp_path)
    assert (found.receive_buffer_bytes, found.control, found.controls) == (6_291_456, "cubic", ("reno", "cubic"))
    assert (found.window_scaling, found.slow_start_after_idle, found.mtu_probing) == (True, False, None)


def test_ops_db_is_asked(observatory, ops_db_url):
    found = look_at_ops_db(ops_db_url)
    assert {finding.verdict for finding in judge_ops_db(found, topology=observatory.topology)} == {Verdict.GOOD}
    assert found.offset.least_seconds < 0.5


def test_an_ops_db_without_a_schema_has_none(postgres):
    url = postgres.create_database("empty_for_the_doctor")
    found = look_at_ops_db(url)
    assert (found.revision, found.applied) == ("", "")


def test_an_ops_db_that_is_away_says_so_without_its_password():
    with pytest.raises(TransientError, match="refused") as caught:
        look_at_ops_db(f"postgresql+psycopg://me:geheim@127.0.0.1:{free_port()}/ops_db")
    assert "geheim" not in str(caught.value)


def test_the_broker_is_pinged(broker):
    assert look_at_broker(broker.url(0)).verdict is Verdict.GOOD
    wrong = look_at_broker(broker.url(0).replace(broker.password, "geheim"))
    assert wrong.verdict is Verdict.BAD
    assert "geheim" not in wrong.sentence
    assert look_at_broker("amqp://rabbit").verdict is Verdict.NOT_MEASURED


def test_ramping_up_does_not_count():
    samples = [Sample(0, 0), Sample(1, 1 * MB), Sample(2, 3 * MB), Sample(3, 13 * MB), Sample(4, 23 * MB)]
    found = steady(samples, warm_up=2)
    assert found is not None
    assert found.bytes_per_second == 10 * MB
    assert steady(samples[:2], warm_up=2).bytes_per_second == MB  # all there is
    assert steady([Sample(0, 0), Sample(1, 0)], warm_up=0.2) is None


def test_the_time_to_ramp_up_is_eight_round_trips_and_a_third_at_most():
    assert warm_up_seconds(round_trip_seconds=0.25, seconds=10) == 2
    assert warm_up_seconds(round_trip_seconds=0.25, seconds=3) == 1
    assert warm_up_seconds(round_trip_seconds=0.0001, seconds=10) == 0.2
