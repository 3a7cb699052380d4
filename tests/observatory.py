"""A small observatory for tests: real ops-db, real folders, no Airflow; the real planner and batch runner."""

import os
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from include.lanes import Lane, lanes_of_kind
from include.operations.batch import BatchFailedError, BatchReport, BatchRunner
from include.operations.identity import Worker
from include.operations.planning import LanePlan, LanePlanner
from include.operations.stage import Selection, Stage
from include.ops_db.apply import apply_topology
from include.ops_db.tables import Operation
from include.storage.disk import DiskStorage
from include.storage.interface import Storage
from include.topology import OperationKind, Policy, Topology, load_topology

SANDBOX = Path(__file__).parent.parent / "include" / "topologies" / "sandbox.yaml"
_run_numbers = count(1)


@cache
def _sandbox() -> Topology:
    return load_topology(SANDBOX)


def sandbox_topology(root: Path, **policy: object) -> Topology:
    """Return the sandbox's topology with its roots below `root` and no patience (tests do not wait)."""
    topology = _sandbox()
    locations = tuple(
        location.model_copy(
            update={"storage": location.storage.model_copy(update={"root": str(root / location.storage.root)})}
        )
        if location.storage.type == "disk"
        else location
        for location in topology.data_locations
    )
    numbers = topology.policy.model_dump() | {"plan_patience_seconds": 0, "bundle_max_age_seconds": 0} | policy
    return topology.model_copy(update={"data_locations": locations, "policy": Policy.model_validate(numbers)})


@dataclass
class Observatory:
    """Engine, topology and storages of one test. Archives are folders too, unless a test puts a real S3Storage in."""

    engine: Engine
    root: Path
    topology: Topology
    storages: dict[str, Storage] = field(default_factory=dict)
    host: str | None = None

    @classmethod
    def build(cls, engine: Engine, root: Path, **policy: object) -> "Observatory":
        """Make folders, apply the topology."""
        observatory = cls(engine, root, sandbox_topology(root, **policy))
        for location in observatory.topology.data_locations:
            folder = observatory.folder(location.full_name)
            folder.mkdir(parents=True)
            observatory.storages[location.full_name] = DiskStorage(folder)
        with Session(engine) as session, session.begin():
            apply_topology(session, observatory.topology, applied_by="tests")
        return observatory

    def folder(self, full_name: str) -> Path:
        """Return where a location's files are (archives: where they are unless they are on real S3)."""
        storage = self.topology.location(full_name).storage
        return Path(storage.root) if storage.type == "disk" else self.root / "s3" / storage.bucket

    def storage_of(self, full_name: str) -> Storage:
        """Open a location."""
        return self.storages[full_name]

    def lane(self, kind: OperationKind, full_name: str) -> Lane:
        """Return a lane by kind and location."""
        return next(lane for lane in lanes_of_kind(self.topology, kind) if lane.location.full_name == full_name)

    def plan(self, stage: Stage, full_name: str, **changes: object) -> LanePlan:
        """Plan one lane as a DAG run of its own would."""
        planner = LanePlanner(
            engine=self.engine,
            topology=self.topology,
            lane=self.lane(stage.KIND, full_name),
            stage=stage,
            run_id=f"test-run-{next(_run_numbers)}",
            selection=Selection(),
            has_ended=lambda _: True,
            is_listened_to=lambda: True,
        )
        return replace(planner, **changes).plan()

    def runner(self, stage: Stage, full_name: str, *, manual: bool = False, run_id: str = "test") -> BatchRunner:
        """Return a batch runner on the host that does this location's work."""
        location = self.topology.location(full_name)
        worker = Worker(host=location.hosts[0], pid=os.getpid(), dag_id=stage.KIND, run_id=run_id, task_id="run")
        return BatchRunner(
            engine=self.engine,
            topology=self.topology,
            location=location,
            stage=stage,
            worker=worker,
            manual=manual,
            storage_of=self.storage_of,
        )

    def run(self, stage: Stage, full_name: str, *, manual: bool = False) -> BatchReport:
        """Plan a lane and do what it proposes; failures are in the report's `failed`."""
        total = BatchReport()
        for batch in self.plan(stage, full_name).batches:
            try:
                report = self.runner(stage, full_name, manual=manual).run(batch)
            except BatchFailedError as error:
                report = error.report
            total.failed += report.failed
            total.completed += report.completed
            total.later += report.later
            total.passed_over += report.passed_over
        return total

    def operations(self, kind: OperationKind) -> list[Operation]:
        """Return all operations of a kind, oldest first."""
        with Session(self.engine) as session:
            return list(session.scalars(select(Operation).where(Operation.kind == kind).order_by(Operation.id)))

    def put_files(self, files: dict[str, bytes], *, location: str = "ccat_source") -> None:
        """Write files below a location's root, as an instrument does."""
        for path, content in files.items():
            target = self.folder(location) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def close(self) -> None:
        """Remove the folders."""
        shutil.rmtree(self.root, ignore_errors=True)


def new_observation() -> UUID:
    """Return an observation's UUID, as an instrument makes it."""
    return uuid4()


def now() -> datetime:
    """UTC."""
    return datetime.now(UTC)
