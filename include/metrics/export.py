"""One round of metrics: look how things stand, then send whatever InfluxDB has not had yet.

Nothing is lost while InfluxDB is away: what was done is read from ops-db, from a mark that moves only when InfluxDB has
taken what lies before it; how things stood waits in ops-db as samples. Nothing is doubled: what is sent again, because
a round died before it moved the mark, has the same tags and times. No transaction is open while InfluxDB is asked.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text

from include.errors import BadInputError, TransientError
from include.metrics.attempts import Mark, ended, settled_at
from include.metrics.influxdb import Write
from include.metrics.links import WINDOW, carried, first_window, windows_after
from include.metrics.point import lines_of
from include.metrics.sample import sample
from include.plurals import counted
from include.topology import Topology

BATCH = 5000
ROUND_SECONDS = 40.0
"""Then the next round goes on: rounds do not pile up."""
SAMPLES_AT_ONCE = 60
SAMPLES_DAYS = 14
"""So long InfluxDB may be away."""
FIRST_DAYS = 7
"""What was done before the first round is told from so long ago on."""

FIRST = text(
    "insert into metric_export (stream, until_at) values ('attempts', :attempts), ('links', :links)"
    " on conflict do nothing"
)
MARKS = text("select stream, until_at, until_operation, until_number from metric_export")
MOVE = text(
    """
    update metric_export set until_at = :at, until_operation = :operation, until_number = :number
    where stream = :stream and (until_at, until_operation, until_number) < (:at, :operation, :number)
    """
)
TOOK = text("update metric_export set exported_at = now(), failing_since = null, last_error = null")
FAILED = text("update metric_export set failing_since = coalesce(failing_since, now()), last_error = :why")
KEEP_SAMPLE = text("insert into metric_sample (sampled_at, lines) values (:at, :lines) on conflict do nothing")
FORGET_SAMPLES = text("delete from metric_sample where sampled_at < now() - make_interval(days => :days)")
SAMPLES = text("select sampled_at, lines from metric_sample order by sampled_at limit :most")
SENT = text("delete from metric_sample where sampled_at = any(:sent)")
# Of the session, not of a transaction: none is open while InfluxDB is asked.
MINE = text("select pg_try_advisory_lock(hashtext('dts metrics'))")
NO_LONGER = text("select pg_advisory_unlock(hashtext('dts metrics'))")


@dataclass(kw_only=True)
class Exported:
    """What a round sent."""

    attempts: int = 0
    windows: int = 0
    samples: int = 0
    trouble: str | None = None
    is_done: bool = True

    def sentence(self) -> str:
        """Say it."""
        said = f"{counted(self.attempts, 'attempt')}, {counted(self.windows, 'window')} of links and"
        said += f" {counted(self.samples, 'sample')} were sent."
        if self.trouble:
            return f"{said} {self.trouble} What is left waits in ops-db."
        return said if self.is_done else f"{said} The next round goes on."


def export(engine: Engine, *, topology: Topology, write: Write) -> Exported:
    """Do one round; two at once do no harm."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(MINE).scalar_one():
            return Exported(trouble="Another round is at it.")
        try:
            return _export(connection, topology=topology, write=write)
        finally:
            connection.execute(NO_LONGER)


def _export(connection: Connection, *, topology: Topology, write: Write) -> Exported:
    now = connection.execute(text("select clock_timestamp()")).scalar_one()
    first = {"attempts": now - timedelta(days=FIRST_DAYS), "links": first_window(now)}
    connection.execute(FIRST, first)
    points = sample(connection, topology=topology, now=now)
    connection.execute(KEEP_SAMPLE, {"at": now, "lines": "\n".join(lines_of(points))})
    connection.execute(FORGET_SAMPLES, {"days": SAMPLES_DAYS})
    sending = _Round(connection, topology, write, now)
    deadline = time.monotonic() + ROUND_SECONDS
    try:
        for stream in (sending.attempts, sending.links, sending.samples):
            for _ in stream():
                if time.monotonic() > deadline:
                    sending.done.is_done = False
                    break
        connection.execute(TOOK)
    except (TransientError, BadInputError) as error:
        sending.done.trouble = str(error)
        connection.execute(FAILED, {"why": sending.done.trouble})
    return sending.done


class _Round:
    """What is sent, stream by stream; each yields after every request that InfluxDB took."""

    def __init__(self, connection: Connection, topology: Topology, write: Write, now: datetime) -> None:
        self._connection = connection
        self._topology = topology
        self._write = write
        self._now = now
        self.done = Exported()

    def attempts(self) -> Iterator[None]:
        settled = settled_at(self._connection)
        count = BATCH
        while count == BATCH:
            after = self._mark("attempts")
            points, mark, count = ended(self._connection, after=after, settled=settled, most=BATCH)
            if count:
                self._send(lines_of(points))
                self._move("attempts", mark)
                self.done.attempts += count
            yield

    def links(self) -> Iterator[None]:
        while windows := windows_after(after := self._mark("links").at, now=self._now):
            points = carried(self._connection, after=after, windows=windows, topology=self._topology)
            self._send(lines_of(list(points)))
            self._move("links", Mark(at=after + WINDOW * windows))
            self.done.windows += windows
            yield

    def samples(self) -> Iterator[None]:
        while kept := self._connection.execute(SAMPLES, {"most": SAMPLES_AT_ONCE}).all():
            self._send([row.lines for row in kept])
            self._connection.execute(SENT, {"sent": [row.sampled_at for row in kept]})
            self.done.samples += len(kept)
            yield

    def _send(self, lines: Sequence[str]) -> None:
        if lines:
            self._write(lines)

    def _mark(self, stream: str) -> Mark:
        row = next(row for row in self._connection.execute(MARKS) if row.stream == stream)
        return Mark(at=row.until_at, operation=row.until_operation, number=row.until_number)

    def _move(self, stream: str, mark: Mark) -> None:
        values = {"stream": stream, "at": mark.at, "operation": mark.operation, "number": mark.number}
        self._connection.execute(MOVE, values)
