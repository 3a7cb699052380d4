"""A stage that does nothing but what a test tells it, on the real machine and a real ops-db."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from uuid import uuid4

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from include.operations.identity import Worker
from include.operations.lease import Lease, take_lease
from include.operations.planning import LanePlan, NewOperation, want
from include.operations.stage import Done, Planning, Work
from include.ops_db.places import location_id
from include.ops_db.tables import ExecutedObsUnit, Instrument, InstrumentModule, Operation, RawDataPackage
from include.topology import OperationKind
from tests.observatory import Observatory, now

PLACE = "cologne_archive"
_numbers = count(1)


def done(_: Work) -> Done:
    return Done(explanation="It is done.", size_bytes=1)


@dataclass
class FakeStage:
    """Archiving, without an archive: wants every package that has no completed operation, does what `work` says."""

    KIND: OperationKind = OperationKind.ARCHIVING
    work: Callable[[Work], Done] = done
    worked_on: list[int] = field(default_factory=list)
    """Ids of packages, in the order in which they were begun."""

    def plan(self, planning: Planning) -> None:
        subjects = planning.session.execute(
            text(
                """
                select id, content_bytes from raw_data_package p
                where not exists (
                  select from operation o where o.kind = :kind and o.data_location_id = :here
                  and o.raw_data_package_id = p.id)
                order by id
                """
            ),
            {"kind": self.KIND, "here": planning.data_location_id},
        )
        want(
            planning.session,
            kind=self.KIND,
            data_location_id=planning.data_location_id,
            operations=[
                NewOperation(subject_id=row.id, size_bytes=row.content_bytes, explanation="It is new.")
                for row in subjects
            ],
        )

    def run(self, work: Work) -> Done:
        assert work.lease.raw_data_package_id is not None
        self.worked_on.append(work.lease.raw_data_package_id)
        return self.work(work)


@dataclass
class Laboratory:
    """Packages, their operations at one archive, and ways to move their clocks."""

    observatory: Observatory
    stage: FakeStage = field(default_factory=FakeStage)

    @property
    def engine(self) -> Engine:
        return self.observatory.engine

    def packages(self, number: int, *, size_bytes: int = 1) -> list[int]:
        """Make packages that nobody has worked on; returns their ids."""
        with Session(self.engine) as session, session.begin():
            instrument = session.query(Instrument).filter_by(name="primecam").one()
            module = session.query(InstrumentModule).filter_by(instrument_id=instrument.id).first()
            assert module is not None
            observation = ExecutedObsUnit(id=uuid4(), instrument_id=instrument.id, started_at=now())
            session.add(observation)
            session.flush()
            made = [
                RawDataPackage(
                    name=f"package_{next(_numbers)}",
                    executed_obs_unit_id=observation.id,
                    instrument_module_id=module.id,
                    source_location_id=location_id(session, "ccat_source"),
                    number=index,
                    path=f"package_{index}.tar",
                    file_count=1,
                    content_bytes=size_bytes,
                )
                for index in range(number)
            ]
            session.add_all(made)
            session.flush()
            return [package.id for package in made]

    def operations(self, number: int, *, size_bytes: int = 1) -> list[int]:
        """Make packages and a pending operation for each; returns the operations' ids."""
        packages = self.packages(number, size_bytes=size_bytes)
        with Session(self.engine) as session, session.begin():
            want(
                session,
                kind=self.stage.KIND,
                data_location_id=location_id(session, PLACE),
                operations=[
                    NewOperation(subject_id=package, size_bytes=size_bytes, explanation="It is new.")
                    for package in packages
                ],
            )
        return [operation.id for operation in self.all() if operation.raw_data_package_id in packages]

    def all(self) -> list[Operation]:
        return self.observatory.operations(self.stage.KIND)

    def operation(self, operation_id: int) -> Operation:
        return next(operation for operation in self.all() if operation.id == operation_id)

    def statuses(self) -> list[str]:
        return [str(operation.status) for operation in self.all()]

    def attempts(self, operation_id: int) -> list[str | None]:
        """Outcomes of an operation's attempts, first to last; None: still open."""
        sql = "select outcome from operation_attempt where operation_id = :id order by number"
        with self.engine.connect() as connection:
            return list(connection.execute(text(sql), {"id": operation_id}).scalars())

    def plan(self, **changes: object) -> LanePlan:
        return self.observatory.plan(self.stage, PLACE, **changes)

    def take(self, operation_id: int, *, lease_seconds: int = 60, manual: bool = False, **who: object) -> Lease | None:
        return take_lease(
            self.engine, operation_id=operation_id, worker=worker(**who), lease_seconds=lease_seconds, manual=manual
        )

    def taken(self, operation_id: int, **who: object) -> Lease:
        lease = self.take(operation_id, **who)  # type: ignore[arg-type]
        assert lease is not None
        return lease

    def run(self, operation_ids: list[int], *, manual: bool = False):
        return self.observatory.runner(self.stage, PLACE, manual=manual).run(operation_ids)

    def change(self, operation_id: int, **columns: object) -> None:
        """Move a row's clocks (or anything) by hand."""
        words = ", ".join(f"{column} = :{column}" for column in columns)
        with self.engine.begin() as connection:
            connection.execute(text(f"update operation set {words} where id = :id"), {"id": operation_id, **columns})

    def expire(self, operation_id: int) -> None:
        self.change(operation_id, lease_expires_at=datetime.fromisoformat("2020-01-01T00:00:00+00:00"))


def worker(**changes: object) -> Worker:
    values: dict[str, object] = {"host": "cologne", "pid": os.getpid(), "dag_id": "d", "run_id": "r", "task_id": "run"}
    return Worker(**(values | changes))  # type: ignore[arg-type]
