"""Transfer: the destination pulls the packages of a DataTransferPackage into its buffer, or the origin pushes them.

**What it does.** `plan` wants an Operation for every DataTransfer to this buffer that is `pending`; where the route
says `moved_by: push`, the lane of the origin's buffer wants it, and writes over SFTP what otherwise would be read: the
same blocks, part files and journals, so a route can be turned round while a transfer is under way. `run` reserves
the room for what has not arrived, then pulls it, block by block (64 MiB): a block is checked against its checksum as
it comes, written to `<path>.part`, and noted in `<path>.journal` once it is on the disk. A package gets its name when
all of its blocks are in. Then the transfer is `completed`, and unpacking reads and verifies what lies there. A task
that is younger than 10 minutes then goes on with the next transfer of the same route, over the same connections.

**How fast.** As the link allows, or as the route's timetable in the topology does: all transfers of a route share it,
and a change (`dts topology apply`) holds within seconds. How many connections are used, and why, is in `dts explain`.

**When it is safe to repeat.** Always, at any moment, also after a power cut: only blocks that are not in the journal
are sent again, and packages that are complete are not touched. It hands back after 30 minutes and goes on in a later
task.

**When it fails.** A passing trouble of the link is tried again by itself. A full buffer is no failure: the operation
waits, also where it would not fit beside what other operations have reserved. A block that comes wrong twice means that
the copy at the origin is damaged: it is marked `corrupt`, or `missing` if it is not there, and the transfer is
completed without that package. It is repaired by itself: packaging makes it again from the raw files, or another copy
is fetched, and it leaves with another bundle. A copy here that is known to be corrupt is moved to `quarantine/` before
a good one comes.

**How to stop it.** Pause this DAG, or stop the lane's worker. What has arrived is kept. Do not remove `.part` or
`.journal` files of a transfer that is to go on: that is what need not be sent again. Those that nobody will go on with
are swept away by the first transfer of a day, once they are a day old.
"""

import logging
import time
from dataclasses import replace

from sqlalchemy.orm import Session

from include.errors import DtsError
from include.lifecycle.left_out import LeftOut, left_out, not_coming, put_corrupt_aside, record_left_out
from include.lifecycle.leftovers import sweep_transfers
from include.lifecycle.room import reserve_room
from include.operations.planning import NewOperation, want
from include.operations.stage import Done, Planning, Work
from include.ops_db.data_transfers import (
    ExpectedPackage,
    TransferOnItsWay,
    load_transfer,
    record_transferred,
    still_coming,
)
from include.ops_db.reservations import sweep
from include.ops_db.states import WorkStatus
from include.ops_db.waiting_transfers import WaitingTransfer, next_of_route, waiting_transfers
from include.plurals import counted
from include.stages.under_way import TimetableBegan, UnderWay
from include.stages.ways import Way, pushed_from, pushed_to, runs_at, way_of
from include.topology import OperationKind
from include.transfer.blocks import Item, Twin
from include.transfer.compressed_twin import twin_path
from include.transfer.pulled import YIELD_SECONDS, DamagedOriginError, Pulled

KIND = OperationKind.TRANSFER

logger = logging.getLogger(__name__)


def plan(planning: Planning) -> None:
    """Want every pending transfer to this buffer, but for those that are pushed; and those that this one pushes."""
    here = planning.data_location_id
    sweep(planning.session, data_location_id=here)
    waiting = waiting_transfers(
        planning.session,
        kind=KIND,
        data_location_id=here,
        pushed_from_here=pushed_from(planning.topology, planning.location.full_name),
        pushed_to_here=pushed_to(planning.topology, planning.location.full_name),
    )
    operations = [_operation(transfer, lane=planning.location.full_name) for transfer in waiting]
    want(planning.session, kind=KIND, data_location_id=here, operations=operations)


def next_operation(session: Session, operation_id: int) -> int | None:
    """Return the transfer that a task goes on with over the connections that it has open."""
    return next_of_route(session, operation_id)


def run(work: Work) -> Done:
    """Move one transfer's packages.

    Raises:
        NoSpaceError: this buffer is too full.
        TransientError: the link or a disk failed for the moment.
        WrongHostError: the buffer is not a folder of this host.
    """
    assert work.lease.data_transfer_id is not None
    with Session(work.engine) as session:
        transfer = load_transfer(session, work.lease.data_transfer_id)
    if transfer.transfer_status is not WorkStatus.PENDING:
        return Done(explanation=f"Nothing was to be sent: data transfer {transfer.id} is {transfer.transfer_status}.")
    lane = runs_at(work.topology, origin=transfer.origin, destination=transfer.destination)
    if lane != work.location.full_name:
        return Done(explanation=f"The route was turned round: {lane} goes on with data transfer {transfer.id}.")
    began = time.monotonic()
    way = way_of(work, transfer)
    if transfer.is_first_of_day:
        _sweep(work, transfer, way)
    aside = put_corrupt_aside(work, transfer, way.destination)
    items = [_item(package) for package in transfer.packages if not package.is_bad_at_origin]
    bad = [
        package
        for package in transfer.packages
        if package.is_bad_at_origin and way.missing_bytes([Item(package.path, package)])
    ]
    try:
        pulled = _move(work, transfer, items, way)
    except DamagedOriginError as error:
        return _go_on_without(transfer, left_out(work, transfer, error), bad, aside=aside)
    what = _account(transfer, pulled, count=len(items), seconds=time.monotonic() - began) + aside
    if not pulled.finished:
        return Done(explanation=f"{what} The rest comes next.", size_bytes=pulled.bytes_sent, unfinished=True)
    return Done(
        explanation=f"{what}{not_coming(bad, origin=transfer.origin)} Unpacking verifies them next.",
        size_bytes=pulled.bytes_sent,
        record=lambda session: record_transferred(session, transfer.id),
    )


def _item(package: ExpectedPackage) -> Item:
    twin = None if package.frame_bytes is None else Twin(twin_path(package.path), package.frame_bytes)
    return Item(package.path, package, twin)


def _sweep(work: Work, transfer: TransferOnItsWay, way: Way) -> None:
    instruments = [instrument.name for instrument in work.topology.instruments]
    try:
        sweep_transfers(way.destination, instruments, still_coming=lambda names: _still_coming(work, transfer, names))
    except DtsError as error:  # it is no reason not to transfer
        logger.warning("What ended transfers left at %s is not swept away today: %s", transfer.destination, error)


def _still_coming(work: Work, transfer: TransferOnItsWay, names: list[str]) -> set[str]:
    with Session(work.engine) as session:
        return still_coming(session, names, data_location_id=transfer.destination_location_id)


def _operation(transfer: WaitingTransfer, *, lane: str) -> NewOperation:
    how = f"be pushed to {transfer.destination}" if lane == transfer.origin else "be pulled"
    return NewOperation(
        subject_id=transfer.id,
        size_bytes=transfer.size_bytes,
        explanation=f"Waiting at {transfer.origin} to {how}: {counted(transfer.package_count, 'package')},"
        f" {transfer.size_bytes:,} bytes.",
    )


def _move(work: Work, transfer: TransferOnItsWay, items: list[Item], way: Way) -> Pulled:
    missing = way.missing_bytes(items)
    what = f"data transfer {transfer.id}"
    reserve_room(work, needed_bytes=missing, what=what, space=way.destination.space, at=transfer.destination)
    ends_at = time.monotonic() + YIELD_SECONDS
    under_way = UnderWay(work, origin=transfer.origin, destination=transfer.destination, left_bytes=missing)
    sent_before = 0
    with under_way:
        while True:
            try:
                pulled = _move_paced(items, way, under_way, ends_at=ends_at)
            except TimetableBegan:  # the rest goes by it
                sent_before += under_way.sent_bytes
                under_way.begin_again()
                continue
            received = 0 if sent_before else pulled.bytes_received  # of the whole, or nobody is told
            return replace(pulled, bytes_sent=pulled.bytes_sent + sent_before, bytes_received=received)


def _move_paced(items: list[Item], way: Way, under_way: UnderWay, *, ends_at: float) -> Pulled:
    pace = under_way.pace()
    try:
        return way.move(items, under_way, pace=pace, ends_at=ends_at)
    finally:
        if pace is not None:
            pace.close()


def _go_on_without(transfer: TransferOnItsWay, left: LeftOut, bad: list[ExpectedPackage], *, aside: str) -> Done:
    """End the transfer without what is bad at the origin: it is repaired, and leaves with another bundle."""

    def record(session: Session) -> None:
        record_left_out(session, transfer, left)
        record_transferred(session, transfer.id)

    lost = {*left.corrupt, *left.missing}
    all_bad = [*bad, *(package for package in transfer.packages if package.id in lost)]
    status = " and ".join(name for name, ids in (("corrupt", left.corrupt), ("missing", left.missing)) if ids)
    return Done(
        explanation=f"{left.why} That copy is marked {status}; everything else of data transfer {transfer.id} has"
        f" arrived, and unpacking verifies it next.{aside}{not_coming(all_bad, origin=transfer.origin)}",
        record=record,
    )


def _account(transfer: TransferOnItsWay, pulled: Pulled, *, count: int, seconds: float) -> str:
    rate = pulled.bytes_sent / 1e6 / max(seconds, 1e-3)
    skipped = f" {pulled.bytes_skipped:,} bytes were here already and not sent again." if pulled.bytes_skipped else ""
    compressed = (
        f" Over the link they were {pulled.bytes_received:,}, compressed."
        if 0 < pulled.bytes_received < pulled.bytes_sent
        else ""
    )
    return (
        f"{counted(count, 'package')} of data transfer {transfer.id}: {pulled.bytes_sent:,} bytes came from"
        f" {transfer.origin} in {seconds:.1f} s ({rate:.1f} MB/s).{compressed}{skipped}"
    )
