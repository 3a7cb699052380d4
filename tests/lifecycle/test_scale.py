"""With millions of copies, most of them gone for years, the planner's and the gate's statements keep to their indexes.

What they say is listened to, not listed: every statement of a real plan, of real deletions and of a dry run is
explained with the values that it had. Rows are made by ops-db itself; no byte is on any disk.
"""

import re
import shutil
from collections.abc import Iterator
from typing import Self

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.orm import Session

from include.explain.history import events_of
from include.lifecycle.deletion_requests import request_deletion
from include.lifecycle.preview import preview
from include.ops_db.engine import CLIENT_OPTIONS
from include.sandbox.postgres import Postgres
from include.sizes import size
from include.stages import deletion
from tests.bench.lifecycle import Remembered
from tests.bench.many_packages import Many, fill
from tests.conftest import TEMPLATE
from tests.observatory import Observatory

SOME = Many(packages=4000, files_each=20, gone=3800)
TEN_MILLION = Many(packages=500_000, files_each=15, gone=499_000)
BYTES_A_COPY = 1000
"""Of disk: rows, indexes, and the log of writing them."""
BIG = ("physical_copy", "raw_data_file")
PLACES = ("ccat_source", "ccat_buffer", "cologne_buffer")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(SOME, id="100 thousand"),
        pytest.param(TEN_MILLION, id="10 million", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def crowded(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, request) -> Iterator[Observatory]:
    """An ops-db after years, with a few packages that may go now."""
    folder = tmp_path_factory.mktemp("crowded")
    if (free := shutil.disk_usage(folder).free) < request.param.copies * BYTES_A_COPY:
        pytest.skip(f"{request.param.copies:,} copies need more disk than the {size(free)} that are free in {folder}")
    name = "ops_db_crowded"
    engine = create_engine(postgres.create_database(name, template=TEMPLATE), connect_args=CLIENT_OPTIONS)
    observatory = Observatory.build(engine, folder / "observatory")
    fill(engine, request.param)
    for place in PLACES:
        observatory.storages[place] = Remembered(files_each=request.param.files_each)
    yield observatory
    engine.dispose()
    postgres.drop_database(name)


class Listener:
    """Remembers each statement once, with the values that it had first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.said: dict[str, object] = {}

    def __enter__(self) -> Self:
        event.listen(self._engine, "before_cursor_execute", self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._heard)

    def _heard(self, _connection, _cursor, statement: str, parameters: object, _context, many: bool) -> None:
        if not many and re.match(r"\s*(select|with|update|insert|delete)\b", statement, re.IGNORECASE):
            self.said.setdefault(statement, parameters)

    def walked_through(self) -> dict[str, str]:
        """Return the statements that read a big table from end to end, by the table."""
        found = {}
        connection = self._engine.raw_connection()
        try:
            for statement, parameters in self.said.items():
                cursor = connection.cursor()
                cursor.execute(f"explain {statement}", parameters)
                plan = "\n".join(row[0] for row in cursor.fetchall())
                found |= {table: f"{statement}\n{plan}" for table in BIG if re.search(rf"Seq Scan on {table}\b", plan)}
        finally:
            connection.rollback()
            connection.close()
        return found


@pytest.mark.parametrize("place", PLACES)
def test_planning_and_deleting_read_no_big_table_from_end_to_end(crowded: Observatory, place: str) -> None:
    with Listener(crowded.engine) as listener:
        batches = crowded.plan(deletion, place).batches
        report = crowded.runner(deletion, place).run(batches[0][:3])
    assert report.completed == 3
    assert len(listener.said) > 15
    assert listener.walked_through() == {}


@pytest.mark.parametrize("place", PLACES)
def test_nor_does_a_dry_run_a_persons_request_or_a_history(crowded: Observatory, place: str) -> None:
    location = crowded.topology.location(place)
    with Listener(crowded.engine) as listener, Session(crowded.engine) as session:
        answers = preview(session, topology=crowded.topology, location=location, most=5)
        assert [answer.may_go for answer in answers] == [True] * 5
        request_deletion(
            session, topology=crowded.topology, location=location, wished=answers, person="jane", reason="a test"
        )
        gone = 1
        assert {told.what for told in events_of(session.connection(), [gone])} >= {"filed", "archived", "deleted"}
        session.rollback()
    assert len(listener.said) > 15
    assert listener.walked_through() == {}


def test_a_statement_that_reads_everything_would_be_found(crowded: Observatory) -> None:
    with Listener(crowded.engine) as listener, crowded.engine.connect() as connection:
        connection.execute(text("select max(size_bytes) from physical_copy"))
    assert set(listener.walked_through()) == {"physical_copy"}
