"""The deletion gate: the one place that allows a copy to go, and why.

It runs in the caller's transaction. It locks the package and its copies, asks its questions of what is true under
that lock, and writes the deletion record and the copies' new state. The caller commits before a byte goes. Whoever
changes a copy's state takes the same lock, so that nothing the answer rests on can change before it is on record.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from include.lifecycle import questions
from include.lifecycle.case import Case
from include.lifecycle.copies import BEGUN, EXAMINED, Copy, lock_copies
from include.lifecycle.overrides import override_of
from include.lifecycle.package_lock import LockedPackage, change_copies, lock_package
from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus
from include.ops_db.tables import DeletionRecord
from include.topology import DataLocation, LocationType, Topology


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """The copies may go; they are in deletion_in_progress and the record is written, once the transaction commits."""

    reason: str
    package: LockedPackage
    copies: tuple[Copy, ...]
    """As they were before."""
    deletion_record_id: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The copies stay; nothing was written but, perhaps, that archive copies are to be scrubbed first."""

    reason: str
    """One sentence with the numbers."""
    package: LockedPackage
    begun: tuple[Copy, ...] = ()
    """Copies that an earlier attempt had begun to delete: what is left of them is wanted after all."""
    is_early: bool = False
    """Its time is not over, or there is room again: it is planned anew when it may go."""


@dataclass(frozen=True, kw_only=True)
class NothingToDelete:
    """No bytes of the package are catalogued at this location; nothing was written."""

    reason: str


def allow_deletion(
    session: Session,
    *,
    raw_data_package_id: int,
    location: DataLocation,
    topology: Topology,
    topology_version_id: int,
    operation_id: int,
    run_id: str | None,
    requested_by: str,
    now: datetime,
    pressure: bool = False,
) -> Allowed | Refused | NothingToDelete:
    """Decide whether the copies of a package at `location` may go; if so, put it on record and mark them.

    At a SOURCE those are the copies of the package's raw files, elsewhere the package's own copy. `topology` is the
    applied one, `topology_version_id` its version, `now` the transaction's time. `pressure`: the location is so full
    that what may go need not wait for its age; no other question is answered otherwise for it.

    Raises:
        BadInputError: there is no such package.
        TopologyError: ops-db does not know the location.
    """
    here = location_id(session, location.full_name)
    package = lock_package(session, raw_data_package_id)
    retention = topology.policy.retention_at(
        location_type=location.location_type,
        full_name=location.full_name,
        instrument=package.instrument,
        module=package.module,
    )
    copies = lock_copies(
        session,
        package,
        data_location_id=here,
        at_source=location.location_type is LocationType.SOURCE,
        verified_since=retention.verified_since(now),
    )
    case = Case(
        session=session,
        package=package,
        copies=copies,
        location=location,
        data_location_id=here,
        topology=topology,
        retention=retention,
        override=override_of(session, package, data_location_id=here, now=now),
        pressure=pressure,
        now=now,
    )
    if reason := questions.is_it_an_archive(case):
        return Refused(reason=reason, package=package)
    if not copies.here:
        return NothingToDelete(reason=f"Nothing of {package.name} is left at {location.full_name}.")
    if reason := _objection(case):
        begun = tuple(copy for copy in copies.here if copy.status in BEGUN)
        is_early = case.package.archived_at is not None and reason == questions.is_its_time_over(case)
        return Refused(reason=reason, package=package, begun=begun, is_early=is_early)
    reason = questions.why_it_may_go(case)
    record = _record(case, topology_version_id=topology_version_id, operation_id=operation_id, run_id=run_id)
    record.requested_by, record.reason = requested_by, reason
    session.add(record)
    session.flush()
    change_copies(
        session,
        copies=[copy.id for copy in copies.here],
        to=CopyStatus.DELETION_IN_PROGRESS,
        was=EXAMINED,
        wanted=False,
    )
    return Allowed(reason=reason, package=package, copies=copies.here, deletion_record_id=record.id)


def would_say(
    session: Session,
    *,
    raw_data_package_id: int,
    location: DataLocation,
    topology: Topology,
    topology_version_id: int,
    now: datetime,
    pressure: bool = False,
) -> Allowed | Refused | NothingToDelete:
    """Return what the gate would answer under any topology, and take back whatever it wrote, its locks too."""
    attempt = session.begin_nested()
    try:
        return allow_deletion(
            session,
            raw_data_package_id=raw_data_package_id,
            location=location,
            topology=topology,
            topology_version_id=topology_version_id,
            operation_id=0,
            run_id=None,
            requested_by="preview",
            now=now,
            pressure=pressure,
        )
    finally:
        attempt.rollback()


def _objection(case: Case) -> str | None:
    return (
        questions.is_it_archived(case)
        or questions.are_there_enough_copies(case)
        or questions.was_everything_packaged(case)
        or questions.was_it_checked_at_a_destination(case)
        or questions.does_another_observation_claim_its_files(case)
        or questions.is_the_grace_period_over(case)
        or questions.is_its_time_over(case)
        or questions.is_it_pinned(case)
        or questions.does_a_staging_job_protect_it(case)
        or questions.does_an_archive_still_need_it(case)
        or questions.does_anything_read_it(case)
        or questions.were_they_verified_lately(case)
    )


def _record(case: Case, *, topology_version_id: int, operation_id: int, run_id: str | None) -> DeletionRecord:
    override = questions.used_override(case)
    return DeletionRecord(
        raw_data_package_id=case.package.id,
        data_location_id=case.data_location_id,
        operation_id=operation_id,
        run_id=run_id,
        topology_version_id=topology_version_id,
        copy_rule_override_id=None if override is None else override.id,
        copy_count=len(case.copies.here),
        size_bytes=sum(copy.size_bytes for copy in case.copies.here),
        evidence=[
            {
                "location": copy.full_name,
                "site": copy.site,
                "path": copy.path,
                "size_bytes": copy.size_bytes,
                "checksum": copy.checksum,
                "verified_at": copy.verified_at.isoformat() if copy.verified_at else None,
            }
            for copy in case.copies.evidence
        ],
    )
