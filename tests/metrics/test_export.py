"""What was done and how things stand reaches InfluxDB: all of it, once, however often it was away."""

import http.server
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from include.errors import BadInputError, TransientError
from include.metrics.export import Exported, export
from include.metrics.influxdb import InfluxAddress, Write, writer
from include.metrics.links import LATE
from include.sandbox.ports import free_port
from tests.lifecycle.archived import Archived, archived_package
from tests.metrics.done import attempts, transfer
from tests.metrics.victoria import Victoria, victoria_running
from tests.observatory import Observatory, now


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def send(observatory: Observatory, write: Write) -> Exported:
    return export(observatory.engine, topology=observatory.topology, write=write)


class Taken:
    """An InfluxDB that remembers the lines; with `dies`, it takes them and the round dies before it knows."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.dies = False

    def __call__(self, lines: Sequence[str]) -> None:
        self.lines += [line for each in lines for line in each.splitlines()]
        if self.dies:
            raise KeyboardInterrupt

    def of(self, measurement: str) -> list[str]:
        return [line for line in self.lines if line.startswith(f"{measurement},")]


def away(_: Sequence[str]) -> None:
    raise TransientError("InfluxDB does not answer.")


def test_what_is_written_is_what_was_done(observatory: Observatory, package: Archived, victoria: Victoria) -> None:
    attempts(package)
    attempts(package, location="us_archive", outcome="transient", size_bytes=0)
    assert send(observatory, writer(victoria.address)).attempts == 2
    ((good, ((_, rate),)),) = victoria.samples('dts_attempt_bytes_per_second{outcome="completed"}')
    assert rate == pytest.approx(100)
    assert good | {"db": ""} == {
        "__name__": "dts_attempt_bytes_per_second",
        "db": "",
        "stage": "archiving",
        "site": "cologne",
        "location": "cologne_archive",
        "instrument": "primecam",
        "outcome": "completed",
    }
    ((bad, ((_, seconds),)),) = victoria.samples('dts_attempt_seconds{outcome="transient"}')
    assert (bad["site"], seconds) == ("us", pytest.approx(10))
    ((archived, ((_, size),)),) = victoria.samples("dts_archived_size_bytes")
    assert (archived["copy"], archived["location"], size) == ("first", "cologne_archive", len(package.content))


def test_a_package_is_archived_first_second_and_further_with_its_latency(
    observatory: Observatory, package: Archived
) -> None:
    with observatory.engine.begin() as connection:
        connection.execute(text("update raw_data_file set filed_at = now() - interval '3 hours'"))
        connection.execute(
            text(
                "update physical_copy c set created_at = now() - case full_name"
                " when 'us_archive' then interval '1 hour' else interval '2 hours' end"
                " from data_location l where l.id = c.data_location_id"
            )
        )
    attempts(package, location="cologne_archive", ago=timedelta(hours=2), seconds=2)
    attempts(package, location="us_archive", ago=timedelta(hours=1), seconds=2)
    taken = Taken()
    send(observatory, taken)
    first, second = taken.of("dts_archived")
    assert "copy=first" in first
    assert "location=cologne_archive" in first
    assert "copy=second" in second
    assert float(first.partition("seconds=")[2].partition(",")[0]) == pytest.approx(3600, abs=10)
    assert float(second.partition("seconds=")[2].partition(",")[0]) == pytest.approx(7200, abs=10)


@pytest.mark.slow
def test_with_influxdb_away_for_a_day_nothing_is_lost_and_nothing_is_doubled(
    observatory: Observatory, package: Archived, tmp_path: Path
) -> None:
    port = free_port()
    write = writer(InfluxAddress(url=f"http://127.0.0.1:{port}", organization="o", bucket="b", token="t"))
    for hour in range(24, 0, -1):
        attempts(package, 50, ago=timedelta(hours=hour))
        said = send(observatory, write)
        assert said.trouble is not None
        assert "does not answer" in said.sentence()
        with observatory.engine.begin() as connection:  # so that it was a day
            connection.execute(text("update metric_sample set sampled_at = sampled_at - interval '1 hour'"))
    with victoria_running(tmp_path / "victoria", port=port) as victoria:
        back = send(observatory, write)
        assert (back.trouble, back.attempts, back.samples) == (None, 24 * 50, 25)
        assert victoria.count("dts_attempt_seconds") == 24 * 50
        assert victoria.count("dts_system_alarms") == 25
        again = send(observatory, write)
        assert (again.attempts, again.samples) == (0, 1)
        assert victoria.count("dts_attempt_seconds") == 24 * 50
    with observatory.engine.connect() as connection:
        (state,) = connection.execute(text("select * from metric_export where stream = 'attempts'")).all()
        assert state.failing_since is None
        assert connection.execute(text("select count(*) from metric_sample")).scalar() == 0


def test_what_is_sent_again_after_a_round_died_is_the_same_points(
    observatory: Observatory, package: Archived, victoria: Victoria
) -> None:
    attempts(package, 20)
    write = writer(victoria.address)

    def dies(lines: Sequence[str]) -> None:
        write(lines)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(observatory, dies)
    assert victoria.count("dts_attempt_seconds") == 20
    assert send(observatory, write).attempts == 20
    assert victoria.count("dts_attempt_seconds") == 20


def test_many_that_ended_in_one_statement_are_as_many_points(observatory: Observatory, package: Archived) -> None:
    attempts(package, 300, apart=0)
    taken = Taken()
    send(observatory, taken)
    identities = {(line.split()[0], line.split()[2]) for line in taken.of("dts_attempt")}
    assert len(identities) == 300


def test_an_end_that_is_committed_late_is_not_passed_over(observatory: Observatory, package: Archived) -> None:
    """It was written before others that can be seen already."""
    taken = Taken()
    with observatory.engine.connect() as late, late.begin() as transaction:
        late.execute(text("select 1"))
        late.execute(
            text(
                "insert into operation (kind, data_location_id, raw_data_package_id, explanation)"
                " select 'archiving', id, :package, 'x' from data_location where full_name = 'us_archive'"
            ),
            {"package": package.id},
        )
        late.execute(
            text(
                "insert into operation_attempt (operation_id, number, started_at, finished_at, outcome)"
                " select max(id), 1, now(), clock_timestamp(), 'waiting' from operation"
            )
        )
        attempts(package, 3, ago=timedelta(seconds=0), seconds=0.001, apart=0.0001)
        attempts(package, 2)
        send(observatory, taken)
        assert len(taken.of("dts_attempt")) == 2
        transaction.commit()
    send(observatory, taken)
    assert len(taken.of("dts_attempt")) == 6


def test_no_transaction_is_open_and_no_row_is_locked_while_influxdb_is_asked(
    observatory: Observatory, package: Archived
) -> None:
    """It may hang: whoever moves data must not notice."""
    attempts(package, 5)

    def looks(_: Sequence[str]) -> None:
        with observatory.engine.connect() as other:
            open_ones = other.execute(
                text(
                    "select count(*) from pg_stat_activity where state = 'idle in transaction' and datname ="
                    " current_database()"
                )
            ).scalar()
            locks = other.execute(
                text(
                    "select count(*) from pg_locks where pid <> pg_backend_pid() and locktype = 'relation'"
                    " and database = (select oid from pg_database where datname = current_database())"
                )
            ).scalar()
        assert (open_ones, locks) == (0, 0)

    assert send(observatory, looks).attempts == 5


def test_of_two_rounds_at_once_one_sends(observatory: Observatory, package: Archived) -> None:
    attempts(package, 5)
    inside, finish = threading.Event(), threading.Event()
    taken = Taken()

    def slow(lines: Sequence[str]) -> None:
        inside.set()
        assert finish.wait(10)
        taken(lines)

    first = threading.Thread(target=send, args=(observatory, slow))
    first.start()
    assert inside.wait(10)
    assert "Another round" in send(observatory, taken).sentence()
    finish.set()
    first.join()
    assert len(taken.of("dts_attempt")) == 5


def test_the_bytes_of_a_transfer_are_spread_over_its_time_and_set_against_the_timetable(
    observatory: Observatory, package: Archived
) -> None:
    start = (now() - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    with observatory.engine.begin() as connection:
        transfer(connection, begun=start, ended=start + timedelta(minutes=10), size_bytes=600)
        connection.execute(
            text("insert into metric_export (stream, until_at) values ('links', :at), ('attempts', :at)"),
            {"at": start - timedelta(minutes=5)},
        )
    taken = Taken()
    assert send(observatory, taken).windows >= 20
    carried = [line for line in taken.of("dts_link") if "cologne_buffer" in line]
    sizes = [int(line.partition("size_bytes=")[2].partition("i")[0]) for line in carried]
    assert sizes[:4] == [0, 300, 300, 0]
    assert sum(sizes) == 600


def test_a_window_is_told_once_and_only_when_its_transfers_have_ended(observatory: Observatory) -> None:
    taken = Taken()
    assert send(observatory, taken).windows in {0, 1}
    with observatory.engine.begin() as connection:
        connection.execute(
            text("update metric_export set until_at = :at where stream = 'links'"),
            {"at": now() - LATE - timedelta(minutes=14)},
        )
    assert send(observatory, taken).windows == 2
    assert send(observatory, taken).windows == 0


def test_a_wrong_token_is_told_with_what_to_change_and_never_shown(observatory: Observatory) -> None:
    class Strict(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            right = self.headers["Authorization"] == "Token right"
            self.send_response(204 if right else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strict) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = InfluxAddress(
            url=f"http://127.0.0.1:{server.server_port}", organization="o", bucket="dts", token="s3cret"
        )
        assert "s3cret" not in repr(address)
        with pytest.raises(BadInputError, match="bucket dts and token of the connection influxdb") as trouble:
            writer(address)(["a b=1i 1"])
        assert "s3cret" not in str(trouble.value)
        said = send(observatory, writer(address)).sentence()
        assert "401" in said
        assert send(observatory, writer(InfluxAddress(**{**address.__dict__, "token": "right"}))).trouble is None
        server.shutdown()


@pytest.mark.slow
def test_a_day_of_20000_attempts_is_exported_in_less_than_ten_seconds(
    observatory: Observatory, package: Archived, victoria: Victoria, engine: Engine
) -> None:
    for hour in range(24):
        attempts(package, 834, ago=timedelta(hours=hour + 1), apart=4)
    began, cpu = time.monotonic(), time.process_time()
    done = send(observatory, writer(victoria.address))
    took = time.monotonic() - began
    assert time.process_time() - cpu < 8
    assert done.attempts >= 20_000
    assert took < 10
    assert victoria.count("dts_attempt_seconds") == done.attempts
    assert httpx.get(f"{victoria.url}/health").status_code == 200
