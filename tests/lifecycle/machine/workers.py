"""Workers: the real stages under real leases, which may die before any commit and at any touch of a file.

Left out is what has no part in it: the lane's queue, and the thread that renews a lease (here a lease runs out when the
machine says so).
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import patch

from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session

from include.lifecycle import lease_watch
from include.operations import batch
from include.operations.batch import BatchReport
from include.operations.stage import Done, Planning, Stage, Work
from include.ops_db.places import location_id
from include.storage.disk import DiskStorage
from tests.lifecycle.machine.tally import Tally
from tests.lifecycle.machine.world import World

DUE = text(
    """
    select o.id from operation o join data_location l on l.id = o.data_location_id
    where o.kind = :kind and l.full_name = :place
      and (cast(:package as bigint) is null or o.raw_data_package_id = :package) and (
      (o.status in ('pending', 'scheduled') and (o.not_before is null or o.not_before <= now()))
      or (o.status = 'in_progress' and o.lease_expires_at < now()))
    order by o.id
    """
)
WAITS = text(
    """
    select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
      and backend_type = 'client backend')
    """
)


class Killed(BaseException):
    """The worker ends here; nothing catches this."""


class Workers:
    """Does the stages' work in a world, and lets `meanwhile` happen in the middle of it."""

    def __init__(self, world: World, tally: Tally) -> None:
        self.world, self.tally = world, tally
        self.steps_left = -1
        self.clock = 0.0
        """What the workers' own clocks say, in seconds."""
        self.steps_until_meanwhile = -1
        self.meanwhile: Callable[[], None] | None = None
        """Happens once, at a touch of a file, after some others."""
        self.between_files = False
        """It happens after a file has gone instead. Nobody can see to it that a worker does not fall asleep between his
        last look at his lease and the deletion of a file; what he does then is to be seen at the next file."""
        self.in_the_gate: Callable[[], None] | None = None
        """Happens once, between the gate's answer and its commit."""
        self._own = _Own()
        self.rival: threading.Thread | None = None
        self.rival_trouble: list[BaseException] = []

    @property
    def work(self) -> list[Work]:
        """What this thread does, the innermost last."""
        return self._own.work

    @property
    def was_disturbed(self) -> bool:
        """Tell whether something has happened since this thread asked the gate last."""
        return self._own.was_disturbed

    @was_disturbed.setter
    def was_disturbed(self, was: bool) -> None:
        self._own.was_disturbed = was

    @property
    def was_looked_at(self) -> bool:
        """Tell whether the judge has looked again, after what this thread asked the gate last."""
        return self._own.was_looked_at

    @was_looked_at.setter
    def was_looked_at(self, was: bool) -> None:
        self._own.was_looked_at = was

    @contextmanager
    def hired(self) -> Iterator[None]:
        """Have them work as described above."""
        clock = SimpleNamespace(monotonic=lambda: self.clock)
        with ExitStack() as stack:
            stack.enter_context(patch.object(batch, "LeaseKeeper", Unrenewed))
            stack.enter_context(patch.object(lease_watch, "time", clock))
            event.listen(self.world.engine, "commit", self._before_commit)
            stack.callback(event.remove, self.world.engine, "commit", self._before_commit)
            yield

    def plan(self, stage: Stage, place: str) -> None:
        """As a lane's planner has its stage plan."""
        observatory = self.world.observatory
        with Session(self.world.engine) as session, session.begin():
            stage.plan(
                Planning(
                    session=session,
                    topology=observatory.topology,
                    location=observatory.topology.location(place),
                    data_location_id=location_id(session, place),
                    now=session.execute(text("select now()")).scalar_one(),
                )
            )

    def do_what_is_due(self, stage: Stage, place: str, *, steps: int = -1, package: int | None = None) -> BatchReport:
        """Do the operations of a lane that are due, or those about a package; with `steps`, die after so many."""
        runner = self.world.observatory.runner(Noted(stage, self), place)  # type: ignore[arg-type]
        report = BatchReport()
        self.steps_left = steps
        try:
            for operation_id in self.due(stage, place, package=package):
                runner._run_one(operation_id, report)
        except Killed:
            self.tally.killed += 1
        finally:
            if not self._is_rival():
                self.steps_left = -1
                self.meanwhile, self.in_the_gate, self.between_files = None, None, False
                self.await_rival()
        return report

    def due(self, stage: Stage, place: str, *, package: int | None = None) -> list[int]:
        """Return ids of operations."""
        values = {"kind": stage.KIND, "place": place, "package": package}
        with self.world.engine.connect() as connection:
            return list(connection.execute(DUE, values).scalars())

    def step(self) -> None:
        """Somebody touches a file or commits; perhaps he does not live to do it."""
        if self._is_rival():
            return
        if self.steps_left == 0:
            raise Killed
        self.steps_left -= 1

    def touch(self) -> None:
        """Somebody touches a file: no transaction is open."""
        if self._is_rival():
            return
        self.await_rival()
        if not self.between_files:
            self._count_down()
        self.step()

    def after_a_file(self) -> None:
        """Somebody has deleted a file and comes to the next."""
        if self.between_files and not self._is_rival():
            self._count_down()

    def _count_down(self) -> None:
        if self.meanwhile is None:
            return
        if self.steps_until_meanwhile == 0:
            happens, self.meanwhile = self.meanwhile, None
            with self._undisturbed():
                happens()
            self.was_disturbed = True
        self.steps_until_meanwhile -= 1

    def start_rival(self, does: Callable[[], None]) -> bool:
        """Let somebody else do something at the same time; return once he waits for a lock (True) or is done."""

        def work() -> None:
            try:
                does()
            except BaseException as trouble:  # noqa: BLE001 - told by await_rival
                self.rival_trouble.append(trouble)

        self.tally.races += 1
        self.was_disturbed = True
        self.rival = threading.Thread(target=work, daemon=True)
        self.rival.start()
        with self.world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while self.rival.is_alive():
                if connection.execute(WAITS).scalar_one():
                    return True
                self.rival.join(0.0005)
        return False

    def await_rival(self) -> None:
        """Let him come to his end, and tell of his trouble."""
        if self.rival is not None and not self._is_rival():
            self.rival.join()
            self.rival = None
            troubles, self.rival_trouble = self.rival_trouble, []
            if troubles:
                raise troubles[0]

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Whoever acts in the meantime lives."""
        steps, self.steps_left = self.steps_left, -1
        yield
        self.steps_left = steps

    def _is_rival(self) -> bool:
        return threading.current_thread() is self.rival

    def _before_commit(self, _: Connection) -> None:
        if self.work:
            self.step()


class _Own(threading.local):
    """What is each thread's own."""

    def __init__(self) -> None:
        self.work: list[Work] = []
        self.was_disturbed = self.was_looked_at = False


class Noted:
    """A stage of which is known who is at work."""

    def __init__(self, stage: Stage, workers: Workers) -> None:
        self.KIND = stage.KIND
        self._stage, self._workers = stage, workers

    def run(self, work: Work) -> Done:
        self._workers.work.append(work)
        try:
            return self._stage.run(work)
        finally:
            self._workers.work.pop()


class Unrenewed:
    """A lease that nobody renews."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def check(self) -> None:
        pass


class WatchedStorage(DiskStorage):
    """A folder whose users are watched at each touch of a file."""

    def __init__(self, workers: Workers, place: str, before_deletion: Callable[[str, str], None]) -> None:
        super().__init__(workers.world.folder(place))
        self._workers, self._place, self._before_deletion = workers, place, before_deletion

    def stat(self, path: str) -> Any:
        self._touch()
        return super().stat(path)

    def writing(self, path: str, *, durable: bool = True) -> Any:
        self._touch()
        return super().writing(path, durable=False)  # it outlives no power cut

    def flush(self) -> None:
        pass

    def delete(self, path: str) -> bool:
        self._touch()
        self._before_deletion(self._place, path)
        was_there = super().delete(path)
        self._workers.after_a_file()
        return was_there

    def _touch(self) -> None:
        self._workers.world.touched.add(self._place)
        self._workers.touch()
