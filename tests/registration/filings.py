"""Filing as an instrument does it: conf, receive, the lane's worker, verdict; and what must not have been written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from include.operations.stage import Stage
from include.ops_db.tables import Base, ExecutedObsUnit, Operation, PhysicalCopy, RawDataFile
from include.registration.receive import Received, receive
from include.registration.verdict import Verdict, verdict_of
from include.stages import registration
from tests.observatory import Observatory

STARTED = "2026-04-01T03:20:00Z"
FINISHED = "2026-04-01T04:00:00+00:00"
STAGE: Stage = registration

_numbers = count(1)


def run_id() -> str:
    """The id of another run of the DAG."""
    return f"filing-{next(_numbers)}"


def inline(files: Mapping[str, bytes]) -> list[dict[str, object]]:
    """The files as they stand in a filing or a manifest."""
    return [{"path": path, "size_bytes": len(content)} for path, content in files.items()]


def filing_of(contents: Mapping[str, bytes] | None = None, /, **changes: object) -> dict[str, object]:
    """A good filing; a change to None leaves the key out."""
    conf: dict[str, object] = {
        "executed_obs_unit": str(uuid4()),
        "instrument": "primecam",
        "instrument_module": "mod280",
        "data_location": "ccat_source",
        "started_at": STARTED,
        "files": None if contents is None else inline(contents),
    }
    return {key: value for key, value in (conf | changes).items() if value is not None}


def write_manifest(observatory: Observatory, path: str, entries: list[dict[str, object]]) -> None:
    """Beside the data."""
    observatory.put_files({path: "".join(json.dumps(entry) + "\n" for entry in entries).encode()})


def send(observatory: Observatory, conf: object, *, run: str | None = None, account: str = "primecam") -> Received:
    """What the DAG's `receive` does."""
    return receive(
        observatory.engine,
        topology=observatory.topology,
        dag_run_id=run or run_id(),
        conf=conf,
        received_from=account,
    )


def file_it(observatory: Observatory, conf: object, *, run: str | None = None, account: str = "primecam") -> Verdict:
    """Send a filing, let the lane of the source work, and ask for the verdict."""
    run = run or run_id()
    send(observatory, conf, run=run, account=account)
    report = observatory.run(STAGE, "ccat_source")
    assert report.failed == []
    return verdict_of(observatory.engine, run)


@dataclass(frozen=True)
class Written:
    """How many rows there are of what only an accepted filing writes."""

    observations: int
    files: int
    copies: int


def written(observatory: Observatory) -> Written:
    """Count."""
    return Written(
        *(_count(observatory, table) for table in (ExecutedObsUnit, RawDataFile, PhysicalCopy)),
    )


def operation_count(observatory: Observatory) -> int:
    """How many operations there are, of any kind and state."""
    return _count(observatory, Operation)


def _count(observatory: Observatory, table: type[Base]) -> int:
    with Session(observatory.engine) as session:
        return session.scalars(select(func.count()).select_from(table)).one()
