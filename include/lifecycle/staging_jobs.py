"""StagingJobs: a person asks for packages at a PROCESSING location until a date, and they are protected there.

Whoever makes or extends a job holds the locks of its packages, which the deletion gate takes too: either the gate sees
the new date, or the job is found to be over. A job never comes back to life.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Row, func, insert, select, text
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle.package_lock import lock_packages
from include.lifecycle.staging_room import require_room
from include.lifecycle.what_can_be_staged import packages_to_be_had, processing_location
from include.operations.decide import clock, storable
from include.operations.record import RESET
from include.ops_db.places import location_id
from include.ops_db.states import StagingEvent, StagingState
from include.ops_db.tables import StagingJob, StagingJobEvent, StagingJobPackage, TopologyVersion
from include.topology import Topology

FAILED = text(
    """
    select id from operation where kind = 'staging' and data_location_id = :here and status = 'failed'
      and raw_data_package_id = any(:packages)
    """
)

MEMBERS = text("select raw_data_package_id from staging_job_package where staging_job_id = :job")

# The clock, not the transaction's time: that may be from before the locks were taken.
JOB = text(
    """
    select j.id, j.requested_by, j.state, j.until, l.full_name, clock_timestamp() as now
    from staging_job j join data_location l on l.id = j.data_location_id
    where j.id = :job for no key update of j
    """
)

CHANGE = text("update staging_job set until = :until, state = :state where id = :job and state = 'active'")

EXPIRE = text(
    """
    with over as (
      update staging_job set state = 'expired' where state = 'active' and until <= :now and data_location_id = :here
      returning id, until
    )
    insert into staging_job_event (staging_job_id, event, until) select id, 'expired', until from over
    """
)

# What failed, or waits, for nobody: it would call for a person who has no reason to come.
CANCEL_UNWANTED = text(
    """
    update operation set status = 'cancelled', finished_at = clock_timestamp(), not_before = null,
      explanation = 'No active StagingJob wants it here any more.'
    where id = any(array(
      select o.id from operation o
      where o.kind = 'staging' and o.data_location_id = :here and o.status in ('pending', 'failed')
        and not exists (
          select from staging_job j join staging_job_package m on m.staging_job_id = j.id
          where m.raw_data_package_id = o.raw_data_package_id and j.data_location_id = :here
            and j.state = 'active' and j.until > :now)
      order by o.id for update skip locked))
    """
)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Who asks for something, through what, and why."""

    person: str
    reason: str = ""
    through: str = ""
    """`dts`, with the account that typed; or the Airflow run."""
    is_operator: bool = False
    """By a role that the API has checked; who is one by the topology is found there."""


def request_staging(
    session: Session,
    *,
    packages: Sequence[str],
    location: str,
    until: datetime,
    requested_by: str,
    reason: str,
    also: Sequence[str] = (),
    may_wait: bool = False,
    asked_through: str = "",
) -> int:
    """Make an active StagingJob in the caller's transaction; return its id. The next plan of staging begins with it.

    Args:
        session: in the caller's transaction.
        packages: names of RawDataPackages, each of which somebody named.
        location: full name of a PROCESSING location.
        until: with its time zone; the packages are protected there until then.
        requested_by: who asks: the owner.
        reason: for whoever wonders later.
        also: names of RawDataPackages that belong to what somebody named; those that no archive has yet follow.
        may_wait: take it although there is no room for it, or no archive has it yet.
        asked_through: through what.

    Raises:
        BadInputError: something of it makes no sense, cannot be had or does not fit; nothing was written.
    """
    topology = _topology(session)
    place = processing_location(topology, location)
    here = location_id(session, location)
    asking = Asking(person=requested_by, reason=reason, through=asked_through)
    _require_person(asking)
    until = _in_utc(until)
    now = session.execute(select(func.now())).scalar_one()
    if until <= now:
        raise BadInputError(f"Until {until} is over (it is {now:%Y-%m-%d %H:%M:%S} UTC now): give a date to come.")
    found = packages_to_be_had(session, packages, also=also, may_wait=may_wait)
    ids = [package.id for package in found]
    lock_packages(session, ids)
    if not may_wait:
        require_room(session, location=place, data_location_id=here, packages=ids)
    job = StagingJob(
        requested_by=storable(asking.person),
        reason=storable(reason),
        data_location_id=here,
        until=until,
        may_wait=may_wait,
    )
    session.add(job)
    session.flush()
    session.execute(
        insert(StagingJobPackage), [{"staging_job_id": job.id, "raw_data_package_id": package} for package in ids]
    )
    _note(session, job.id, StagingEvent.REQUESTED, until=until, asking=asking)
    failed = list(session.execute(FAILED, {"here": here, "packages": ids}).scalars())
    again = {"person": job.requested_by, "reason": f"StagingJob {job.id} asks for it."}
    session.execute(RESET, {"operation_ids": failed} | again)
    return job.id


def extend_staging(session: Session, *, job_id: int, until: datetime, asking: Asking) -> None:
    """Have an active job end later, in the caller's transaction.

    Raises:
        BadInputError: there is no such job, it is over, not theirs, or would not end later; nothing was written.
    """
    _require_person(asking)
    until = _in_utc(until)
    lock_packages(session, session.execute(MEMBERS, {"job": job_id}).scalars().all())
    job = _active_job(session, job_id, asking=asking, verb="extend")
    if until <= job.until:
        raise BadInputError(
            f"StagingJob {job.id} ends at {clock(job.until)}, and {clock(until)} is not later. To have it end"
            " earlier, release it when you need it no more."
        )
    session.execute(CHANGE, {"job": job.id, "until": until, "state": StagingState.ACTIVE})
    _note(session, job.id, StagingEvent.EXTENDED, until=until, asking=asking)


def release_staging(session: Session, *, job_id: int, asking: Asking) -> None:
    """Have an active job end now, in the caller's transaction: deletion may remove what no other job protects.

    Raises:
        BadInputError: there is no such job, it is over, or not theirs; nothing was written.
    """
    _require_person(asking)
    job = _active_job(session, job_id, asking=asking, verb="release")
    session.execute(CHANGE, {"job": job.id, "until": job.until, "state": StagingState.RELEASED})
    _note(session, job.id, StagingEvent.RELEASED, until=job.until, asking=asking)


def job_asked_for_through(session: Session, through: str) -> int | None:
    """Return the job that was made, extended or released through this (`Asking.through`); None if none was."""
    return session.scalar(
        select(StagingJobEvent.staging_job_id).where(StagingJobEvent.asked_through == storable(through)).limit(1)
    )


def expire_jobs(session: Session, *, data_location_id: int, now: datetime) -> None:
    """Close the jobs at a location whose date has come, and cancel what nobody waits for any more."""
    session.execute(EXPIRE, {"here": data_location_id, "now": now})
    session.execute(CANCEL_UNWANTED, {"here": data_location_id, "now": now})


def _active_job(session: Session, job_id: int, *, asking: Asking, verb: str) -> Row[tuple[int, str, str, datetime]]:
    """Return a job, locked, that is active at this moment and that this person may change."""
    job = session.execute(JOB, {"job": job_id}).one_or_none()
    if job is None:
        raise BadInputError(f"There is no StagingJob {job_id}; `dts staging list --all` shows those there are.")
    if job.state != StagingState.ACTIVE or job.until <= job.now:
        how = "was released" if job.state == StagingState.RELEASED else f"ended at {clock(job.until)}"
        raise BadInputError(
            f"StagingJob {job.id} {how}, and its files at {job.full_name} may be gone: ask for them anew (`dts stage`)."
        )
    operators = _topology(session).operators
    if asking.person not in (job.requested_by, *operators) and not asking.is_operator:
        others = f" or an operator ({', '.join(operators)})" if operators else ""
        raise BadInputError(
            f"StagingJob {job.id} is {job.requested_by}'s: only {job.requested_by}{others} may {verb} it, and you are"
            f" {asking.person}."
        )
    return job


def _note(session: Session, job_id: int, event: StagingEvent, *, until: datetime, asking: Asking) -> None:
    session.add(
        StagingJobEvent(
            staging_job_id=job_id,
            event=event,
            until=until,
            person=storable(asking.person),
            asked_through=storable(asking.through),
            reason=storable(asking.reason),
        )
    )
    session.flush()


def _require_person(asking: Asking) -> None:
    if not asking.person.strip():
        raise BadInputError("A StagingJob needs the name of the person who asks for it.")


def _in_utc(until: datetime) -> datetime:
    if until.tzinfo is None:
        raise BadInputError(f"Until {until} could be meant in any time zone: give one, say {until.isoformat()}+00:00.")
    return until.astimezone(UTC)


def _topology(session: Session) -> Topology:
    document = session.scalar(select(TopologyVersion.document).order_by(TopologyVersion.id.desc()).limit(1))
    if document is None:
        raise BadInputError("No topology was applied to ops-db yet: run `dts topology apply`.")
    return Topology.model_validate(document)
