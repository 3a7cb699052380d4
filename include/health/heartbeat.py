"""The heartbeat of a worker host, written by the worker itself: it lives, even where nothing is done.

It needs ops-db and nothing of Airflow: neither a scheduler nor the broker. So a host that beats and does not answer
through the broker has another trouble than one that is silent.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from include.topology import Topology

BEAT_SECONDS = 20.0
STALE_SECONDS = 90.0
"""After so long nobody counts on it any more."""
MISSED_SECONDS = 60.0
"""After so long without one, a worker that does not answer either is missing."""

BEAT = text(
    """
    insert into host_heartbeat as h (host, started_at, pid, version, topology_sha256, queues, clock_ahead_seconds,
      total_bytes, free_bytes, unreached)
    values (:host, statement_timestamp() - make_interval(secs => :running_seconds), :pid, :version, :topology_sha256,
      :queues, extract(epoch from cast(:host_time as timestamptz) - statement_timestamp()), :total_bytes, :free_bytes,
      cast(:unreached as jsonb))
    on conflict (host) do update set beaten_at = clock_timestamp(), stopped_at = null, pid = excluded.pid,
      started_at = case when h.pid = excluded.pid and h.stopped_at is null then h.started_at
        else excluded.started_at end,
      version = excluded.version, topology_sha256 = excluded.topology_sha256, queues = excluded.queues,
      clock_ahead_seconds = excluded.clock_ahead_seconds, total_bytes = excluded.total_bytes,
      free_bytes = excluded.free_bytes, unreached = excluded.unreached
    """
)
# A worker that was started in its place meanwhile has another pid.
STOPPED = text("update host_heartbeat set stopped_at = clock_timestamp() where host = :host and pid = :pid")
KNOWN = text("select *, extract(epoch from clock_timestamp() - beaten_at)::float as age_seconds from host_heartbeat")


@dataclass(frozen=True, kw_only=True)
class Beat:
    """What a host says of itself."""

    host: str
    running_seconds: float
    queues: Sequence[str]
    topology_sha256: str
    total_bytes: int | None
    free_bytes: int | None
    unreached: Mapping[str, str]
    """Why not, by full name of the location."""


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The last beat of a host, as ops-db has it."""

    host: str
    age_seconds: float
    beaten_at: datetime
    started_at: datetime
    stopped_at: datetime | None
    version: str
    topology_sha256: str
    queues: frozenset[str]
    clock_ahead_seconds: float
    total_bytes: int | None
    free_bytes: int | None
    unreached: Mapping[str, str]

    @property
    def is_fresh(self) -> bool:
        """Tell whether the host lives, as far as anybody knows."""
        return self.stopped_at is None and self.age_seconds <= STALE_SECONDS


def look(
    *, host: str, topology: Topology, queues: Sequence[str], running_seconds: float, reach: Callable[[Path], None]
) -> Beat:
    """Look at this host. `reach` raises OSError with the reason if a folder is not there."""
    disk = _disk()
    unreached = {}
    for location in topology.data_locations:
        if location.storage.type == "disk" and host in location.hosts:
            try:
                reach(Path(location.storage.root))
            except OSError as error:
                unreached[location.full_name] = error.strerror or str(error)
    return Beat(
        host=host,
        running_seconds=running_seconds,
        queues=sorted(queues),
        topology_sha256=topology.sha256,
        total_bytes=disk.total if disk else None,
        free_bytes=disk.free if disk else None,
        unreached=unreached,
    )


def _disk() -> Any:
    try:
        return shutil.disk_usage(tempfile.gettempdir())
    except OSError:
        return None


def beat(connection: Connection, said: Beat) -> None:
    """Write it; one statement."""
    values = {
        **said.__dict__,
        "queues": list(said.queues),
        "unreached": json.dumps(dict(said.unreached)),
        "pid": os.getpid(),
        "version": version(),
        "host_time": datetime.now(UTC),
    }
    connection.execute(BEAT, values)


def stopped(connection: Connection, *, host: str) -> None:
    """Write that this worker was stopped in good order."""
    connection.execute(STOPPED, {"host": host, "pid": os.getpid()})


def heartbeats(connection: Connection) -> dict[str, Heartbeat]:
    """Return the last beat of each host that ever beat, by name."""
    names = [name for name in Heartbeat.__dataclass_fields__ if name != "queues"]
    return {
        row["host"]: Heartbeat(**{name: row[name] for name in names}, queues=frozenset(row["queues"]))
        for row in connection.execute(KNOWN).mappings()
    }


def version() -> str:
    """Return the version of our code."""
    try:
        return metadata.version("ccat-data-transfer-system")
    except metadata.PackageNotFoundError:  # a folder on PYTHONPATH
        return "not installed"
