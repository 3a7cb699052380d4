"""Many operations: the plan's statements keep to their indexes, and what a batch says to ops-db stays little."""

import re
import socket
import threading
import time

import pytest
from sqlalchemy import create_engine, make_url, text

from include.operations.batch import BatchRunner
from include.operations.planning_statements import DUE
from include.ops_db.engine import CLIENT_OPTIONS
from tests.operations.laboratory import PLACE, Laboratory

MANY = 50_000


@pytest.fixture
def crowded(lab: Laboratory) -> Laboratory:
    """As many completed operations as pending ones, and as many again in another lane."""
    (package,) = lab.packages(1)
    fill(lab, package, number=MANY)
    return lab


def fill(lab: Laboratory, package: int, *, number: int) -> None:
    with lab.engine.begin() as connection:
        connection.execute(text("set local statement_timeout = 0"))
        # One living operation a subject: packages by the thousand, by copying one.
        connection.execute(
            text(
                """
                insert into raw_data_package (name, executed_obs_unit_id, instrument_module_id, source_location_id,
                  number, path, file_count, content_bytes)
                select name || n, executed_obs_unit_id, instrument_module_id, source_location_id,
                  n, path, file_count, content_bytes
                from raw_data_package, generate_series(1, :number) n where id = :package
                """
            ),
            {"number": number, "package": package},
        )
        for place, status in ((PLACE, "pending"), (PLACE, "completed"), ("us_archive", "pending")):
            connection.execute(
                text(
                    """
                    insert into operation (kind, data_location_id, raw_data_package_id, status, explanation, size_bytes)
                    select 'archiving', l.id, p.id, cast(:status as text), 'It is new.', 1
                    from raw_data_package p, data_location l where l.full_name = :place
                    """
                ),
                {"place": place, "status": status},
            )
    with lab.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("set statement_timeout = 0"))
        connection.execute(text("vacuum analyze operation"))
        connection.execute(text("set statement_timeout = '30s'"))


def explained(lab: Laboratory, statement, **values: object) -> str:
    with lab.engine.connect() as connection:
        lane = connection.execute(
            text("select id from data_location where full_name = :name"), {"name": PLACE}
        ).scalar_one()
        lines = connection.execute(
            text(f"explain (analyze, buffers off) {statement.text}"),
            {"data_location_id": lane, "kind": lab.stage.KIND, "all_packages": True, "packages": []} | values,
        ).scalars()
        return "\n".join(lines)


@pytest.mark.timeout(300)
def test_a_crowded_lane_is_planned_through_its_index_in_a_moment(crowded: Laboratory) -> None:
    plan = explained(crowded, DUE, most=200)
    assert "ix_operation_due" in plan
    assert "ix_operation_again" in plan
    assert all(int(rows) <= 400 for rows in re.findall(r"Sort .*actual .*rows=(\d+)", plan)), "only what is proposed"
    assert "Seq Scan on operation" not in plan

    crowded.stage.plan = lambda _: None  # type: ignore[method-assign]
    for listened_to in (False, True, True):
        started = time.monotonic()
        lane_plan = crowded.plan(is_listened_to=lambda listens=listened_to: listens, has_ended=lambda _: False)
        assert time.monotonic() - started < 5
        assert bool(lane_plan.batches) or not listened_to or "full" in lane_plan.explanation
    with crowded.engine.connect() as connection:
        told = connection.execute(
            text("select count(*) from operation where explanation like '%no worker listens%'")
        ).scalar_one()
    assert told == 0


class CountingProxy:
    """A TCP proxy that counts how often the client speaks before it is answered: each costs a round trip."""

    def __init__(self, *, port: int) -> None:
        self.round_trips = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self._target = port
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(1 << 20):
                self.round_trips += counts
                sink.sendall(data)
        except OSError:
            pass
        finally:
            source.close()
            sink.close()

    def close(self) -> None:
        self._server.close()


def test_a_batch_of_one_speaks_with_ops_db_at_most_ten_times(lab: Laboratory, ops_db_url: str) -> None:
    first, second = lab.operations(2)
    proxy = CountingProxy(port=make_url(ops_db_url).port or 0)
    engine = create_engine(make_url(ops_db_url).set(port=proxy.port), pool_size=1, connect_args=CLIENT_OPTIONS)
    runner = BatchRunner(**(vars(lab.observatory.runner(lab.stage, PLACE)) | {"engine": engine}))
    runner.run([first])
    proxy.round_trips = 0
    runner.run([second])
    assert 0 < proxy.round_trips <= 10
    assert lab.statuses() == ["completed"] * 2
    engine.dispose()
    proxy.close()
