"""Deletion: copies that are safe elsewhere and no longer wanted are removed, everywhere but in the archives.

**What it does.** `plan` looks for packages whose copies at this location have outstayed their time: archived, enough
verified archive copies at enough sites, the grace period over, no staging job. `run` asks the gate, in one transaction
that locks the package: only if it has no objection are a deletion record with the evidence and the state
`deletion_in_progress` written, and committed before a byte goes. Then each file is looked at and deleted, and the
copies are `deleted`. At a SOURCE the raw files of a package go, in a BUFFER its tar, at PROCESSING its staged files.
Nothing that ops-db does not know is ever touched.

**When it is safe to repeat.** Always. What an earlier attempt had begun, the next one ends, after asking the gate
again; if the gate says no by then, what is left is given back (`present`, `staged`).

**When it waits.** The gate objects to something that may pass: its sentence, with the numbers, is the explanation. What
was to make room that is there again by then stays, and is planned anew when it may go.

**When it waits for a person.** All that would go from here at once is more than policy's brake allows: nothing of it
gets an operation until somebody says yes, in the DAG `deletion_brake` or by `dts brake`. A no is remembered.

**When it fails.** A file is not what was archived: it is left alone, its copy is `corrupt`, and the explanation names
it. Find out who changed it; move it away or put back what was filed, then `dts retry`. A file that had gone before its
time is `missing`; the explanation names it too. A damaged package in a buffer that nobody needs any more, known as such
before or retried by a person, fails no more: it is moved to `quarantine/` there, and is `deleted`.

**How to stop it.** Pause this DAG: nothing is deleted anywhere, and disks fill.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from include.errors import DtsError, IntegrityError, LeaseLostError, PermanentError, TransientError, WaitingError
from include.lifecycle.brake import At, go_by_this_policy, hold_back
from include.lifecycle.copies import BEGUN
from include.lifecycle.deletion_requests import requested_by
from include.lifecycle.gate import Allowed, NothingToDelete, Refused, allow_deletion
from include.lifecycle.lease_watch import LeaseWatch
from include.lifecycle.leftovers import sweep_parts
from include.lifecycle.package_lock import change_copies, lock_package
from include.lifecycle.pressure import Found, how_much_to_free, is_pressed, what_goes
from include.lifecycle.preview import preview
from include.lifecycle.removal import DoomedCopy, Fate, doomed_copies, remove, what_is_left
from include.lifecycle.retention import PACKAGES_A_QUESTION, candidates, mark_deletion_possible
from include.lifecycle.unneeded import put_unneeded_aside
from include.operations.patience import ask_again
from include.operations.planning import NewOperation, want
from include.operations.stage import Done, FailedWith, Planning, Work
from include.ops_db.places import require_applied
from include.ops_db.states import CopyStatus
from include.plurals import counted
from include.storage.disk import DiskStorage
from include.storage.interface import Storage
from include.topology import LocationType, OperationKind
from include.transfer.compressed_twin import twin_path

__all__ = ["KIND", "plan", "preview", "run"]

KIND = OperationKind.DELETION

PACKAGES_A_PLAN = 2000
NAMED_FILES = 5
REQUESTED_BY = "policy"
"""Nobody asked for this very deletion: it followed from the topology's policy."""


def plan(planning: Planning) -> None:
    """Want an operation for each package that may probably go from here, or whose deletion was left half done."""
    if planning.location.location_type is LocationType.SOURCE:
        mark_deletion_possible(
            planning.session,
            data_location_id=planning.data_location_id,
            policy=planning.topology.policy,
            now=planning.now,
            most=PACKAGES_A_PLAN,
        )
    at = At(
        session=planning.session,
        topology=planning.topology,
        location=planning.location,
        data_location_id=planning.data_location_id,
    )
    go_by_this_policy(at)
    found = _found(planning)
    judged = hold_back(
        at,
        [row for row in found if not row.begun],
        requested_by=REQUESTED_BY,
        run_id=planning.run_id,
    )
    going = [row for row in found if row.begun or row.id in judged.may_go]
    want(
        planning.session,
        kind=KIND,
        data_location_id=planning.data_location_id,
        operations=[
            NewOperation(
                subject_id=row.id,
                explanation=f"The deletion of {row.name} at {planning.location.full_name} had begun, and goes on."
                if row.begun
                else f"{row.name} is safe in the archives and may go from {planning.location.full_name};"
                " the gate decides just before it goes.",
                # Deleting reads nothing: batches are sized by their number of operations alone.
                size_bytes=0,
            )
            for row in going[:PACKAGES_A_PLAN]
        ],
    )


def _found(planning: Planning) -> list[Found]:
    look = partial(
        candidates,
        planning.session,
        data_location_id=planning.data_location_id,
        policy=planning.topology.policy,
        now=planning.now,
        most=PACKAGES_A_QUESTION,
    )
    return what_goes(look, to_free_bytes=how_much_to_free(planning.session, location=planning.location))


def run(work: Work) -> Done:
    """Ask the gate, delete, record.

    Raises:
        WaitingError: the gate refuses, with its sentence.
        FailedWith: an IntegrityError, files are not what was archived; or whatever kept a file from being deleted.
        LeaseLostError: somebody else has the operation now.
    """
    lease = LeaseWatch(work)
    verdict = ask_again(lambda: _ask_the_gate(work, lease), seconds=lease.seconds)
    answer = verdict.answer
    if isinstance(answer, NothingToDelete):
        return Done(explanation=f"{answer.reason} There was nothing to do.")
    if isinstance(answer, Refused) and answer.is_early and not verdict.copies:
        # Else it would go with the next pressure besides what is then chosen, the oldest first and no more than needed.
        return Done(explanation=f"{answer.reason} It is planned anew when it may go.")
    if isinstance(answer, Refused):
        raise _refusal(work, answer, verdict.copies, lease)
    return _delete(work, answer, verdict.copies, lease)


@dataclass(frozen=True)
class _Verdict:
    answer: Allowed | Refused | NothingToDelete
    copies: list[DoomedCopy]
    """With their files: those that may go, or (refused) those whose deletion had begun."""


def _ask_the_gate(work: Work, lease: LeaseWatch) -> _Verdict:
    with Session(work.engine) as session, session.begin():
        applied = require_applied(session, work.topology)
        now = session.execute(select(func.now())).scalar_one()
        clock_behind = max(now - datetime.now(UTC), timedelta())
        answer = allow_deletion(
            session,
            raw_data_package_id=_package_id(work),
            location=work.location,
            topology=work.topology,
            topology_version_id=applied.version_id,
            operation_id=work.lease.operation_id,
            run_id=work.run_id,
            requested_by=_requested_by(session, work),
            now=now,
            pressure=is_pressed(session, data_location_id=work.lease.data_location_id),
        )
        if isinstance(answer, NothingToDelete):
            return _Verdict(answer, [])
        copies = doomed_copies(
            session,
            package=answer.package,
            copies=answer.copies if isinstance(answer, Allowed) else answer.begun,
            location_type=work.location.location_type,
            clock_behind=clock_behind,
        )
        lease.confirm(session)
    return _Verdict(answer, copies)


def _requested_by(session: Session, work: Work) -> str:
    person = requested_by(
        session, package=_package_id(work), here=work.lease.data_location_id, operation=work.lease.operation_id
    )
    return person or REQUESTED_BY


def _refusal(work: Work, answer: Refused, copies: Sequence[DoomedCopy], lease: LeaseWatch) -> Exception:
    """What to raise; copies whose deletion had begun and that are whole are given back with it."""
    waiting = WaitingError(answer.reason)
    if not copies:
        return waiting
    whole = CopyStatus.STAGED if work.location.location_type is LocationType.PROCESSING else CopyStatus.PRESENT
    storage = work.storage_of(work.location.full_name)
    fates = [what_is_left(storage, copy, whole=whole, confirm=lease) for copy in copies]
    return FailedWith(waiting, record=_recording(work, fates))


def _delete(work: Work, answer: Allowed, copies: Sequence[DoomedCopy], lease: LeaseWatch) -> Done:
    storage = work.storage_of(work.location.full_name)
    fates: list[Fate] = []
    try:
        for copy in copies:
            fate = remove(storage, copy, confirm=lease)
            fates.append(put_unneeded_aside(work, storage, copy, fate))
        _flush(storage, copies)
    except LeaseLostError:
        raise
    except (PermanentError, TransientError) as error:
        # What was found out so far counts, else a file that was gone before its time would pass for deleted next time.
        rest = CopyStatus.DELETION_FAILED if isinstance(error, PermanentError) else None
        with suppress(DtsError):
            _flush(storage, copies)
        done = {fate.copy_id for fate in fates}
        fates += [Fate(copy_id=copy.id, status=rest) for copy in copies if copy.id not in done]
        raise FailedWith(error, record=_recording(work, fates)) from error
    if work.location.location_type is LocationType.BUFFER:
        _delete_twins(storage, copies)
    if work.location.location_type is LocationType.PROCESSING and isinstance(storage, DiskStorage):
        sweep_parts(storage, (file.path.rpartition("/")[0] for copy in copies for file in copy.files))
    record = _recording(work, fates)
    changed = [phrase for fate in fates for phrase in fate.changed]
    what_went = _what_went(work, answer.package.name, fates)
    if changed:
        raise FailedWith(
            IntegrityError(
                f"Not what was archived, and left alone: {counted(len(changed), 'file')} of {answer.package.name} at"
                f" {work.location.full_name}: {_named(changed)}. {what_went} Find out who changed them, and move"
                " them away or put back what was filed."
            ),
            record=record,
        )
    return Done(
        explanation=f"{what_went} {answer.reason}",
        size_bytes=sum(fate.size_bytes for fate in fates),
        record=record,
    )


def _flush(storage: Storage, copies: Sequence[DoomedCopy]) -> None:
    """Before it is recorded: a file that a power cut brought back would be `deleted`, take room, and be nobody's."""
    if isinstance(storage, DiskStorage):
        storage.flush_folders(file.path for copy in copies for file in copy.files)


def _delete_twins(storage: Storage, copies: Sequence[DoomedCopy]) -> None:
    """Their compressed twins go with them; the next bundling sweeps away what stays."""
    with suppress(DtsError):
        for file in (file for copy in copies for file in copy.files):
            storage.delete(twin_path(file.path))


def _what_went(work: Work, package: str, fates: Sequence[Fate]) -> str:
    count, size_bytes = sum(fate.file_count for fate in fates), sum(fate.size_bytes for fate in fates)
    sentence = f"Deleted at {work.location.full_name}: {counted(count, 'file')} of {package} with {size_bytes} bytes."
    gone = [repr(path) for fate in fates for path in fate.gone]
    if gone:
        sentence += f" {len(gone)} had gone before their time, by somebody else's hand: {_named(gone)}."
    kept = [name for fate in fates for name in fate.kept]
    if kept:
        sentence += f" What was damaged is kept as {_named(kept)}, until a person has looked at it and removes it."
    return sentence


def _recording(work: Work, fates: Sequence[Fate]) -> Callable[[Session], None]:
    kept = (CopyStatus.PRESENT, CopyStatus.STAGED)

    def record(session: Session) -> None:
        lock_package(session, _package_id(work))
        for status in sorted({fate.status for fate in fates if fate.status is not None}):
            copies = [fate.copy_id for fate in fates if fate.status is status]
            change_copies(session, copies=copies, to=status, was=BEGUN, wanted=status in kept)

    return record


def _package_id(work: Work) -> int:
    assert work.lease.raw_data_package_id is not None
    return work.lease.raw_data_package_id


def _named(phrases: Sequence[str]) -> str:
    more = f" and {len(phrases) - NAMED_FILES} more" if len(phrases) > NAMED_FILES else ""
    return ", ".join(phrases[:NAMED_FILES]) + more
