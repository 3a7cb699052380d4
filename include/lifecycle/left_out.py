"""Packages that a transfer goes on without, and bad copies at its destination that make room for good ones."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.orm import Session

from include.errors import TransientError
from include.lifecycle.package_lock import lock_package, lock_packages
from include.lifecycle.quarantine import put_aside
from include.operations.decide import sentence
from include.operations.stage import Work
from include.ops_db.copies import record_loss, record_put_aside
from include.ops_db.data_transfers import ExpectedPackage, TransferOnItsWay
from include.ops_db.states import CopyStatus
from include.storage.interface import Storage
from include.transfer.pulled import DamagedOriginError

NAMED_PACKAGES = 3


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What a pull found bad at the origin, and a sentence about it."""

    corrupt: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    why: str = ""


def left_out(work: Work, transfer: TransferOnItsWay, error: DamagedOriginError) -> LeftOut:
    """Tell what the error is about; a file that is said to be missing is looked for once more.

    Raises:
        TransientError: the origin's disk is not there, or the file has come meanwhile.
    """
    ids = {package.path: package.id for package in transfer.packages}
    missing = [item.path for item in error.missing]
    origin = work.storage_of(transfer.origin)
    for path in missing:
        work.check()
        if origin.stat(path) is not None:
            raise TransientError(f"{path} was not at {transfer.origin} a moment ago, and is there now.")
    return LeftOut(
        corrupt=tuple(ids[item.path] for item in error.items if item.path not in missing),
        missing=tuple(ids[path] for path in missing),
        why=sentence(error),
    )


def record_left_out(session: Session, transfer: TransferOnItsWay, left: LeftOut) -> None:
    """Write what became of the copies at the origin. Locks the packages."""
    lock_packages(session, sorted({*left.corrupt, *left.missing}))
    here = transfer.origin_location_id
    record_loss(session, left.corrupt, data_location_id=here, status=CopyStatus.CORRUPT)
    record_loss(session, left.missing, data_location_id=here, status=CopyStatus.MISSING)


def put_corrupt_aside(work: Work, transfer: TransferOnItsWay, destination: Storage) -> str:
    """Move copies that are known to be corrupt into quarantine, so that good ones can come; return sentences."""
    sentences = []
    for package in transfer.packages:
        if package.status_here is not CopyStatus.CORRUPT:
            continue
        kept = put_aside(work, destination, package.path)
        with Session(work.engine) as session, session.begin():
            lock_package(session, package.id)
            record_put_aside(session, [package.id], data_location_id=transfer.destination_location_id)
        if kept is not None:
            sentences.append(f" The damaged copy of {package.name} that was here is kept as {kept}.")
    return "".join(sentences[:NAMED_PACKAGES])


def not_coming(packages: Collection[ExpectedPackage], *, origin: str) -> str:
    """Say which packages a transfer did not bring, and that they are not forgotten."""
    if not packages:
        return ""
    names = [package.name for package in packages]
    more = f" and {len(names) - NAMED_PACKAGES} more" if len(names) > NAMED_PACKAGES else ""
    return (
        f" Without {', '.join(names[:NAMED_PACKAGES])}{more}: no good copy is at {origin} now. It is repaired from"
        " where there is one, and leaves with another bundle."
    )
