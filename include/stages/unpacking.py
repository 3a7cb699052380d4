"""Unpacking: the destination reads every package of a finished transfer once and verifies all that is in it.

**What it does.** `plan` wants an Operation for every DataTransfer to this buffer that is transferred but not
unpacked. `run` reads each package from the disk and compares the whole, every block and every file in it with the
manifest. Good packages get a verified PhysicalCopy here, and are archived and copied on from then on. Nothing is
extracted: packages stay packages.

**When it is safe to repeat.** Always. Packages whose copy is recorded are not read again.

**When bytes are wrong.** A bad package is moved to `quarantine/` in this buffer and stays there for a person to look
at; nothing deletes it. The transfer is sent back and fetches what is missing; the good packages go on meanwhile. What
cannot come, because the copy at the origin is bad, is not waited for: it comes with another transfer once it is
repaired. After `attempts_max` rounds in vain a person is called: look at the quarantined files, at
this disk's health and at the copy at the origin, then `dts retry` the operation or clear its task, which gives it one
more round.

**How to stop it.** Pause this DAG. Nothing is archived here meanwhile, and nothing is lost.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from include.errors import ChecksumMismatchError, MissingFileError, WaitingError, WrongHostError
from include.integrity.verify import read_package
from include.lifecycle.left_out import not_coming
from include.lifecycle.package_lock import lock_packages
from include.lifecycle.quarantine import put_aside
from include.operations.decide import sentence
from include.operations.planning import NewOperation, want
from include.operations.stage import Done, FailedWith, Planning, Work
from include.ops_db.copies import VerifiedCopy, record_loss, record_verified
from include.ops_db.data_transfers import (
    ExpectedPackage,
    TransferOnItsWay,
    load_transfer,
    record_unpacked,
    send_back,
)
from include.ops_db.manifests import load_manifest
from include.ops_db.states import CopyStatus, WorkStatus
from include.ops_db.waiting_transfers import waiting_transfers
from include.plurals import counted
from include.storage.disk import DiskStorage
from include.topology import OperationKind

KIND = OperationKind.UNPACKING

NAMED_PACKAGES = 3


@dataclass(frozen=True)
class _Findings:
    """What reading the packages has shown."""

    good: list[ExpectedPackage] = field(default_factory=list)
    bad: dict[int, str] = field(default_factory=dict)
    """By id: a sentence about a package that is damaged or not there."""
    not_coming: list[ExpectedPackage] = field(default_factory=list)
    """Those among them that this transfer cannot bring: their copies at the origin are bad."""

    @property
    def to_fetch(self) -> int:
        """How many have to be fetched again."""
        return len(self.bad) - len(self.not_coming)

    @property
    def size_bytes(self) -> int:
        """Bytes of the good ones."""
        return sum(package.size_bytes for package in self.good)

    @property
    def troubles(self) -> str:
        """What is wrong, with the first packages."""
        more = f" And {len(self.bad) - NAMED_PACKAGES} more." if len(self.bad) > NAMED_PACKAGES else ""
        return " ".join([*self.bad.values()][:NAMED_PACKAGES]) + more


def plan(planning: Planning) -> None:
    """Want every transfer to this buffer that waits to be unpacked."""
    here = planning.data_location_id
    operations = [
        NewOperation(
            subject_id=transfer.id,
            size_bytes=transfer.size_bytes,
            explanation=f"Came from {transfer.origin}, to be verified: {counted(transfer.package_count, 'package')},"
            f" {transfer.size_bytes:,} bytes.",
        )
        for transfer in waiting_transfers(planning.session, kind=KIND, data_location_id=here)
    ]
    want(planning.session, kind=KIND, data_location_id=here, operations=operations)


def run(work: Work) -> Done:
    """Verify one transfer's packages.

    Raises:
        WaitingError: the transfer is under way again.
        FailedWith: packages were damaged again and again.
        WrongHostError: the buffer is not a folder of this host.
    """
    assert work.lease.data_transfer_id is not None
    with Session(work.engine) as session:
        transfer = load_transfer(session, work.lease.data_transfer_id)
    if transfer.unpacking_status is not WorkStatus.PENDING:
        status = transfer.unpacking_status
        return Done(explanation=f"Nothing was to be done: unpacking of data transfer {transfer.id} is {status}.")
    if transfer.transfer_status is not WorkStatus.COMPLETED:
        raise WaitingError(
            f"Data transfer {transfer.id} is {transfer.transfer_status}: what is missing has to come first."
        )
    findings = _verify(work, transfer)
    if not findings.to_fetch:
        return Done(
            explanation=f"{counted(len(findings.good), 'package')} verified, {findings.size_bytes:,} bytes: every file"
            " is what it should be. Archiving and copies to other archives come next."
            f"{not_coming(findings.not_coming, origin=transfer.origin)}",
            size_bytes=findings.size_bytes,
            record=lambda session: _record_good(session, transfer, findings),
        )
    return _send_back(work, transfer, findings)


def _send_back(work: Work, transfer: TransferOnItsWay, findings: _Findings) -> Done:
    rounds, most = transfer.unpacked_before + 1, work.topology.policy.attempts_max
    what = (
        f"Of {counted(len(transfer.packages), 'package')}, {len(findings.bad)} not as it should be: {findings.troubles}"
        f" Data transfer {transfer.id} is sent back and fetches them again from {transfer.origin}"
    )
    record = _bad_recorder(transfer, findings)
    if rounds >= most:
        raise FailedWith(
            ChecksumMismatchError(
                f"{what}, but that was round {rounds} of {most}: look at this disk and at the copy at the origin."
            ),
            record=record,
        )
    return Done(explanation=f"{what} (round {rounds} of {most}).", size_bytes=findings.size_bytes, record=record)


def _verify(work: Work, transfer: TransferOnItsWay) -> _Findings:
    buffer = work.storage_of(work.location.full_name)
    if not isinstance(buffer, DiskStorage):
        raise WrongHostError(f"{work.location.full_name} is not a folder of {work.host}: it cannot be unpacked there.")
    findings = _Findings()
    for package in transfer.packages:
        work.check()
        with Session(work.engine) as session:
            manifest = load_manifest(session, package.id)
        try:
            read_package(_watched(buffer.read(package.path), work.check), manifest=manifest)
        except ChecksumMismatchError as error:
            findings.bad[package.id] = _quarantine(work, buffer, package, error)
        except MissingFileError:
            findings.bad[package.id] = f"{package.path} is not in {work.location.full_name}."
        else:
            findings.good.append(package)
            continue
        if package.is_bad_at_origin:
            findings.not_coming.append(package)
    return findings


def _watched(chunks: Iterator[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for chunk in chunks:
        check()
        yield chunk


def _quarantine(work: Work, buffer: DiskStorage, package: ExpectedPackage, error: ChecksumMismatchError) -> str:
    """Put the evidence aside; return the sentence about it."""
    kept = put_aside(work, buffer, package.path)
    return f"{sentence(error)} It is kept as {kept}."


def _record_good(session: Session, transfer: TransferOnItsWay, findings: _Findings) -> None:
    lock_packages(session, [package.id for package in findings.good] + list(findings.bad))
    _record_copies(session, transfer, findings)
    record_unpacked(session, transfer.id)


def _bad_recorder(transfer: TransferOnItsWay, findings: _Findings) -> Callable[[Session], None]:
    def record(session: Session) -> None:
        lock_packages(session, [package.id for package in findings.good] + list(findings.bad))
        _record_copies(session, transfer, findings)
        send_back(session, transfer.id)

    return record


def _record_copies(session: Session, transfer: TransferOnItsWay, findings: _Findings) -> None:
    copies = [
        VerifiedCopy(
            raw_data_package_id=package.id, path=package.path, size_bytes=package.size_bytes, checksum=package.checksum
        )
        for package in findings.good
    ]
    here = transfer.destination_location_id
    record_verified(session, copies, data_location_id=here)
    # What was damaged is in quarantine now: nothing is left in its place.
    record_loss(session, findings.bad, data_location_id=here, status=CopyStatus.MISSING)
