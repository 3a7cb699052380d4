"""What a worker host says of itself, and what is made of it."""

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from include.health.heartbeat import STALE_SECONDS, Beat, Heartbeat, beat, heartbeats, look, stopped
from include.health.reach import Reach
from include.health.state import Health, State, health
from include.lanes import lanes_of_host
from tests.observatory import Observatory

HOST = "ccat-buffer"


def beats(observatory: Observatory, host: str = HOST, **changes: object) -> Heartbeat:
    queues = [lane.name for lane in lanes_of_host(observatory.topology, host)]
    said = look(host=host, topology=observatory.topology, queues=queues, running_seconds=5, reach=Reach())
    with observatory.engine.begin() as connection:
        beat(connection, Beat(**{**said.__dict__, **changes}))
        return heartbeats(connection)[host]


def ago(observatory: Observatory, seconds: float, host: str = HOST) -> None:
    with observatory.engine.begin() as connection:
        connection.execute(
            text("update host_heartbeat set beaten_at = now() - make_interval(secs => :seconds) where host = :host"),
            {"seconds": seconds, "host": host},
        )


def judged(observatory: Observatory) -> Health:
    with observatory.engine.begin() as connection:
        connection.execute(text("insert into alarm_watch (id, judged_at) values (1, now()) on conflict do nothing"))
        return health(connection, topology=observatory.topology)


def test_a_host_says_what_it_is_and_what_it_reaches(observatory: Observatory) -> None:
    found = beats(observatory)
    assert found.queues == {lane.name for lane in lanes_of_host(observatory.topology, HOST)}
    assert found.topology_sha256 == observatory.topology.sha256
    assert abs(found.clock_ahead_seconds) < 5
    assert found.free_bytes
    assert found.unreached == {}
    assert found.is_fresh
    assert abs((found.started_at - datetime.now(UTC)).total_seconds() + 5) < 5


def test_a_folder_that_is_gone_is_told_and_so_is_one_that_hangs(observatory: Observatory, tmp_path: Path) -> None:
    folder = observatory.folder("ccat_buffer")
    folder.rmdir()
    assert beats(observatory).unreached == {"ccat_buffer": "No such file or directory"}
    assert "ccat-buffer does not reach ccat_buffer: No such file or directory." in judged(observatory).reasons
    hangs, release = Reach(patience_seconds=0.05), threading.Event()
    fifo = tmp_path / "nfs"
    fifo.mkdir()
    stuck = threading.Thread(target=release.wait, daemon=True)
    stuck.start()
    hangs._hanging[fifo] = stuck
    with pytest.raises(OSError, match="does not answer"):
        hangs(fifo)
    release.set()
    stuck.join()
    hangs(fifo)


def test_a_heartbeat_is_stale_after_90_seconds(observatory: Observatory) -> None:
    beats(observatory)
    ago(observatory, STALE_SECONDS - 5)
    assert judged(observatory).state is State.READY
    ago(observatory, STALE_SECONDS + 1)
    found = judged(observatory)
    assert (found.state, found.state.exit_code) == (State.DEGRADED, 3)
    assert found.reasons == (f"The last heartbeat of {HOST} was 91 seconds ago.",)


def test_a_worker_that_was_stopped_in_good_order_says_so(observatory: Observatory) -> None:
    first = beats(observatory)
    with observatory.engine.begin() as connection:
        stopped(connection, host=HOST)
    (reason,) = judged(observatory).reasons
    assert reason.startswith(f"The worker on {HOST} was stopped at ")
    again = beats(observatory)
    assert again.is_fresh
    assert again.started_at > first.started_at


def test_the_last_words_of_one_worker_do_not_silence_the_one_in_its_place(observatory: Observatory) -> None:
    beats(observatory)
    with observatory.engine.begin() as connection:
        connection.execute(text("update host_heartbeat set pid = :other"), {"other": os.getpid() + 1})
        stopped(connection, host=HOST)
        assert heartbeats(connection)[HOST].is_fresh


def test_another_topology_missing_queues_and_mixed_versions_are_reasons(observatory: Observatory) -> None:
    beats(observatory, topology_sha256="old", queues=["ccat_buffer_bundling"])
    beats(observatory, host="us")
    with observatory.engine.begin() as connection:
        connection.execute(text("update host_heartbeat set version = '0.0.9' where host = 'us'"))
    told = " ".join(judged(observatory).reasons)
    assert "reads another topology file" in told
    assert "does not listen to" in told
    assert "different versions: 0.0.9," in told


def test_open_alarms_degrade_and_another_topology_is_not_ready(observatory: Observatory) -> None:
    assert judged(observatory).state is State.READY
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                "insert into alarm (key, rule, severity, outage, sentence, since, raised_at, last_seen_at) values"
                " ('k', 'link_down', 'critical', 'o', 'It is cut.', now(), now(), now())"
            )
        )
    found = judged(observatory)
    assert (found.state, found.reasons) == (State.DEGRADED, ("critical: It is cut.",))
    with observatory.engine.begin() as connection:
        connection.execute(text("update topology_version set sha256 = 'other'"))
    found = judged(observatory)
    assert (found.state, found.state.exit_code) == (State.NOT_READY, 4)


def test_without_rounds_of_monitoring_nobody_is_told_ready(observatory: Observatory) -> None:
    with observatory.engine.begin() as connection:
        found = health(connection, topology=observatory.topology)
        assert found.reasons == ("Alarms were never judged: does the DAG monitoring run?",)
        connection.execute(text("insert into alarm_watch (id, judged_at) values (1, now() - interval '7 minutes')"))
        found = health(connection, topology=observatory.topology)
        assert found.reasons == ("Alarms were last judged 7 minutes ago: does the DAG monitoring run?",)
