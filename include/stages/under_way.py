"""A transfer under way, as ops-db sees it: what it has yet to write, what it decided; and the timetable it hears of."""

import logging
import re
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from include.operations.stage import Work
from include.ops_db.decisions import TransferDecision, TransferReport, prune_decisions, write_report
from include.ops_db.routes import RoutePromises, RouteTimetable, SharedRoute, shared_route
from include.transfer.adapt import Decision
from include.transfer.pace import SharedPace
from include.transfer.pulled import Progress

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
"""How often ops-db is told and asked: a change of the timetable is heard of within that."""
MOST_DECISIONS = 200
"""Of one attempt; half an hour of rounds has no more to say than that."""


class TimetableBegan(Exception):  # noqa: N818 - no error: the transfer goes on, paced
    """The route has a timetable now, and had none when this transfer began."""


class UnderWay:
    """Tells ops-db every few seconds, in a thread of its own; trouble with that never stops the transfer."""

    def __init__(self, work: Work, *, origin: str, destination: str, left_bytes: int) -> None:
        self._work = work
        self._ends = origin, destination
        self._began_with = left_bytes
        self._left_bytes = left_bytes
        self.sent_bytes = 0
        self._known = self._ask()
        self._timetable = RouteTimetable(self._known.route)
        self._streams: int | None = None
        self._said = ""
        self._stored = 0
        self._decisions: list[TransferDecision] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._began = threading.Event()
        self._is_paced = False
        self._thread = threading.Thread(target=self._tell_until_stopped, name="under-way", daemon=True)

    @property
    def remembered_streams(self) -> int | None:
        """How many connections to begin with; None: nobody knows."""
        return self._streams or self._known.streams

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(timeout=EVERY_SECONDS)

    def pace(self) -> SharedPace | None:
        """Return what the transfer is paced by; None without a timetable: nobody is asked then."""
        self._is_paced = bool(self._timetable.route.timetable)
        self._began.clear()
        if not self._is_paced:
            return None
        return SharedPace(RoutePromises(self._work.engine, self._known.paced_by_id, self._timetable))

    def check(self) -> None:
        """As the work's own; and raise TimetableBegan if the transfer must be paced from now on."""
        self._work.check()
        if self._began.is_set():
            raise TimetableBegan

    def on_progress(self, progress: Progress) -> None:
        """Hear how far it is; what was there already is not sent."""
        self.sent_bytes = max(self.sent_bytes, progress.bytes_sent)
        self._left_bytes = max(0, self._began_with - progress.bytes_sent)

    def begin_again(self) -> None:
        """Another pull begins; what came before is here."""
        self._began_with = self._left_bytes
        self.sent_bytes = 0

    def on_decision(self, decision: Decision) -> None:
        """Hear a decision; what it says is kept if it changes something or is new."""
        said = f"{decision.streams}: {re.sub(r'[0-9][0-9.,]*', '#', decision.why)}"
        with self._lock:
            if not decision.is_a_try:
                self._streams = decision.streams
            if said != self._said and self._stored < MOST_DECISIONS:
                self._said = said
                self._stored += 1
                self._decisions.append(TransferDecision(datetime.now(UTC), decision.streams, decision.why))

    def _ask(self) -> SharedRoute:
        with self._work.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return shared_route(connection, origin=self._ends[0], destination=self._ends[1])

    def _tell_until_stopped(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stopped.wait(EVERY_SECONDS)
            began = time.monotonic()
            try:
                self._tell(is_last=stopped)
            except (SQLAlchemyError, ValueError) as error:  # ValueError: a topology that newer code has applied
                logger.warning(
                    "ops-db did not hear how far the transfer is (%s, after %.0f s); it is told again.",
                    type(error).__name__,
                    time.monotonic() - began,
                )

    def _tell(self, *, is_last: bool) -> None:
        with self._lock:
            decisions = list(self._decisions)
        with self._work.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            version = write_report(
                connection,
                TransferReport(
                    route_id=self._known.id,
                    operation_id=self._work.lease.operation_id,
                    lease_token=self._work.lease.token,
                    left_bytes=self._left_bytes,
                    decisions=decisions,
                    streams=self._streams,
                ),
            )
            if is_last and self._stored:
                prune_decisions(connection, route_id=self._known.id)
        with self._lock:
            del self._decisions[: len(decisions)]
        if version != self._known.topology_version and not is_last:
            self._hear_of_a_change()

    def _hear_of_a_change(self) -> None:
        self._known = self._ask()
        self._timetable.change(self._known.route)
        if self._known.route.timetable and not self._is_paced:
            self._began.set()
