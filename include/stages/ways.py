"""Which way a transfer's bytes go: the destination pulls them, or, where the route says so, the origin pushes them."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from include.errors import PermanentError, WrongHostError
from include.operations.stage import Work
from include.ops_db.data_transfers import TransferOnItsWay
from include.storage.disk import DiskStorage
from include.storage.interface import Storage
from include.storage.sftp import SftpStorage
from include.topology import LocationType, MovedBy, Topology
from include.transfer.adapt import Decision
from include.transfer.blocks import Item
from include.transfer.pace import Pace
from include.transfer.part_file import missing_bytes
from include.transfer.pull import pull
from include.transfer.pulled import Origin, Progress, Pulled
from include.transfer.push import Destination, missing_there, push
from include.transfer.terms import Terms


class Listeners(Protocol):
    """Who hears how far it is. See `pull`."""

    def check(self) -> None:
        """May raise."""

    def on_progress(self, progress: Progress) -> None:
        """Hear of a block."""

    def on_decision(self, decision: Decision) -> None:
        """Hear of a decision."""

    @property
    def remembered_streams(self) -> int | None:
        """How many connections to begin with."""


class Way(Protocol):
    """How the bytes of one transfer are moved from here."""

    @property
    def destination(self) -> Storage:
        """As this host reaches it."""

    def missing_bytes(self, items: Sequence[Item]) -> int:
        """Return how many bytes of these have yet to be written at the destination; no fewer than that."""

    def move(self, items: Sequence[Item], listeners: Listeners, *, pace: Pace | None, ends_at: float) -> Pulled:
        """As `pull`; `ends_at` is a moment of the monotonic clock."""


def runs_at(topology: Topology, *, origin: str, destination: str) -> str:
    """Return the location whose lane does the transfers of a route: the origin if it pushes, else the destination."""
    is_pushed = topology.route(origin=origin, destination=destination).moved_by is MovedBy.PUSH
    return origin if is_pushed else destination


def pushed_from(topology: Topology, origin: str) -> list[str]:
    """Full names of the locations that are pushed to from `origin`."""
    others = [buffer.full_name for buffer in topology.of_type(LocationType.BUFFER) if buffer.full_name != origin]
    return [other for other in others if runs_at(topology, origin=origin, destination=other) == origin]


def pushed_to(topology: Topology, destination: str) -> list[str]:
    """Full names of the locations that push to `destination`."""
    others = [buffer.full_name for buffer in topology.of_type(LocationType.BUFFER) if buffer.full_name != destination]
    return [other for other in others if runs_at(topology, origin=other, destination=destination) == other]


def way_of(work: Work, transfer: TransferOnItsWay) -> Way:
    """Return how this transfer is moved by the lane that does it.

    Raises:
        WrongHostError: the lane's location is not a folder of this host.
    """
    here = work.storage_of(work.location.full_name)
    if not isinstance(here, DiskStorage):
        verb = "pushed from" if work.location.full_name == transfer.origin else "pulled"
        raise WrongHostError(f"{work.location.full_name} is not a folder of {work.host}: nothing can be {verb} there.")
    if work.location.full_name == transfer.origin:
        return Pushing(transfer, here, work.storage_of)
    return Pulling(transfer, here, work.storage_of)


class Pulling:
    """The destination reads, from whatever the origin is."""

    def __init__(self, transfer: TransferOnItsWay, here: DiskStorage, storage_of: Callable[[str], Storage]) -> None:
        self.destination: Storage = here
        self._root = here.root
        self._transfer = transfer
        self._storage_of = storage_of

    def missing_bytes(self, items: Sequence[Item]) -> int:
        return sum(missing_bytes(item, root=self._root) for item in items)

    def move(self, items: Sequence[Item], listeners: Listeners, *, pace: Pace | None, ends_at: float) -> Pulled:
        return pull(
            items,
            origin=Origin(self._transfer.origin, self._storage_of(self._transfer.origin)),
            root=self._root,
            terms=_terms(listeners, pace=pace, ends_at=ends_at),
        )


class Pushing:
    """The origin writes, over SFTP or into a folder that it reaches itself."""

    def __init__(self, transfer: TransferOnItsWay, here: DiskStorage, storage_of: Callable[[str], Storage]) -> None:
        there = storage_of(transfer.destination)
        if not isinstance(there, DiskStorage | SftpStorage):
            raise PermanentError(f"{transfer.destination} is no disk; nothing can be pushed there.")
        self.destination: DiskStorage | SftpStorage = there
        self._here = here
        self._transfer = transfer

    def missing_bytes(self, items: Sequence[Item]) -> int:
        if isinstance(self.destination, DiskStorage):
            root = self.destination.root
            return sum(missing_bytes(item, root=root) for item in items)
        return missing_there(items, storage=self.destination)

    def move(self, items: Sequence[Item], listeners: Listeners, *, pace: Pace | None, ends_at: float) -> Pulled:
        return push(
            items,
            origin=self._transfer.origin,
            source=self._here,
            destination=Destination(self._transfer.destination, self.destination),
            terms=_terms(listeners, pace=pace, ends_at=ends_at),
        )


def _terms(listeners: Listeners, *, pace: Pace | None, ends_at: float) -> Terms:
    return Terms(
        check=listeners.check,
        on_progress=listeners.on_progress,
        on_decision=listeners.on_decision,
        yield_after_seconds=max(0.0, ends_at - time.monotonic()),
        remembered_streams=listeners.remembered_streams,
        pace=pace,
    )
