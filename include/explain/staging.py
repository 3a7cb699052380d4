"""StagingJobs: how far each is, what is missing and why, and who did what to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, computed_field
from sqlalchemy import Connection, text

from include.errors import BadInputError
from include.ops_db.states import PackageState, StagingEvent, StagingState, WorkStatus
from include.plurals import counted
from include.sizes import size

_PACKAGES = """
select j.id as job, p.id, p.name, p.state, p.file_count, p.content_bytes, o.id as operation_id, o.explanation,
  a.in_archive, case
    when c.id is not null then p.content_bytes
    when r.size_bytes is not null then greatest(p.content_bytes - r.size_bytes, 0)
    else 0 end as done_bytes, case
    when c.id is not null then 'completed'
    when o.status is not null then o.status
    when p.state = 'failed' and not a.in_archive then 'failed'
    else 'pending' end as status
from staging_job j
join staging_job_package m on m.staging_job_id = j.id
join raw_data_package p on p.id = m.raw_data_package_id
left join physical_copy c on c.raw_data_package_id = p.id and c.data_location_id = j.data_location_id
  and c.status = 'staged'
left join operation o on o.kind = 'staging' and o.data_location_id = j.data_location_id
  and o.raw_data_package_id = p.id and o.status not in ('completed', 'cancelled')
left join space_reservation r on r.operation_id = o.id and r.lease_token = o.lease_token and o.status = 'in_progress'
cross join lateral (select coalesce((
  select true from physical_copy k join data_location l on l.id = k.data_location_id
  where k.raw_data_package_id = p.id and l.location_type = 'long_term_archive' and l.active and k.status = 'present'
    and k.verified_at is not null and k.checksum = p.checksum limit 1), false) as in_archive) a
where j.id = any(:jobs)
"""

PACKAGES = text(f"{_PACKAGES} order by j.id, p.id")

JOBS = text(
    f"""
    select j.id, j.requested_by, j.reason, l.full_name as location, j.until, j.may_wait, j.created_at,
      case when j.state = 'active' and j.until <= now() then 'expired' else j.state end as state,
      s.packages, s.packages_done, s.files, s.files_done, s.size_bytes, s.size_bytes_done, s.in_progress, s.failed
    from staging_job j join data_location l on l.id = j.data_location_id
    left join (
      select job, count(*) as packages, count(*) filter (where status = 'completed') as packages_done,
        sum(file_count)::bigint as files,
        coalesce(sum(file_count) filter (where status = 'completed'), 0)::bigint as files_done,
        sum(content_bytes)::bigint as size_bytes,
        sum(done_bytes)::bigint as size_bytes_done,
        count(*) filter (where status in ('scheduled', 'in_progress')) as in_progress,
        count(*) filter (where status = 'failed') as failed
      from ({_PACKAGES}) each group by job
    ) s on s.job = j.id
    where j.id = any(:jobs) order by j.id
    """  # noqa: S608 - put together from constants
)

WHICH = text(
    """
    select id from staging_job
    where (cast(:person as text) is null or requested_by = :person)
      and (:ended_too or state = 'active' and until > now())
    order by id desc limit :most
    """
)

EVENTS = text(
    """
    select recorded_at, event, person, asked_through, until, reason from staging_job_event
    where staging_job_id = :job order by id
    """
)


@dataclass(frozen=True, kw_only=True)
class StagingPackage:
    """A package that a job asks for. Bytes are those of its files."""

    name: str
    status: WorkStatus
    """Of its staging."""
    file_count: int
    size_bytes: int
    size_bytes_done: int
    """Of one in progress: what is written; it gets its name file by file."""
    operation_id: int | None
    """The one that is to stage it, unless it is there."""
    why: str
    """Why it is not there, and what comes next; empty if it is."""


@dataclass(frozen=True, kw_only=True)
class StagingHistory:
    """What happened to a job."""

    recorded_at: datetime
    event: StagingEvent
    person: str | None
    """None: its date had come."""
    asked_through: str
    until: datetime
    reason: str


class ExplainedJob(BaseModel):
    """A StagingJob and how far it is; done is what is at its location now."""

    model_config = ConfigDict(frozen=True)

    id: int
    requested_by: str
    reason: str
    location: str
    until: datetime
    state: StagingState
    may_wait: bool
    created_at: datetime
    packages: int
    packages_done: int
    files: int
    files_done: int
    size_bytes: int
    size_bytes_done: int
    in_progress: int
    """Packages that are being staged, or are in a worker's queue."""
    failed: int
    """Packages that cannot be had unless a person does something."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> str:
        """One word: how its work does, or how it ended."""
        if self.state is not StagingState.ACTIVE:
            return self.state
        if self.packages_done == self.packages:
            return WorkStatus.COMPLETED
        if self.in_progress:
            return WorkStatus.IN_PROGRESS
        return WorkStatus.FAILED if self.packages_done + self.failed == self.packages else WorkStatus.PENDING

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sentence(self) -> str:
        """How far it is."""
        if self.state is not StagingState.ACTIVE:
            left = f"{counted(self.packages_done, 'package')} of it may still be there until deletion comes by."
            return f"It is {self.state}: {left if self.packages_done else 'nothing of it is there any more.'}"
        if self.packages_done == self.packages:
            everything = f"{counted(self.packages, 'package')}, {counted(self.files, 'file')}, {size(self.size_bytes)}"
            return f"All of it is there: {everything}."
        waiting = self.packages - self.packages_done - self.in_progress - self.failed
        parts = [
            f"{self.in_progress} on the way" if self.in_progress else "",
            f"{waiting} waiting" if waiting else "",
            f"{self.failed} cannot be had" if self.failed else "",
        ]
        return (
            f"There are {self.packages_done} of {counted(self.packages, 'package')}, {self.files_done:,} of"
            f" {counted(self.files, 'file')}, {size(self.size_bytes_done)} of {size(self.size_bytes)};"
            f" {', '.join(part for part in parts if part)}."
        )


def explain_jobs(connection: Connection, job_ids: Sequence[int]) -> tuple[ExplainedJob, ...]:
    """Return jobs that exist, by id; one statement."""
    return tuple(
        ExplainedJob.model_validate(dict(row)) for row in connection.execute(JOBS, {"jobs": list(job_ids)}).mappings()
    )


def explain_job(connection: Connection, job_id: int) -> ExplainedJob:
    """Return a job.

    Raises:
        BadInputError: there is none with this id.
    """
    for job in explain_jobs(connection, [job_id]):
        return job
    raise BadInputError(f"There is no StagingJob {job_id}; `dts staging list --all` shows those there are.")


def newest_jobs(connection: Connection, *, person: str | None, ended_too: bool, most: int) -> tuple[ExplainedJob, ...]:
    """Return the newest jobs, of one person or of all; those that ended only if asked for."""
    values = {"person": person, "ended_too": ended_too, "most": most}
    return explain_jobs(connection, connection.execute(WHICH, values).scalars().all())


def packages_of_job(connection: Connection, job: ExplainedJob) -> tuple[StagingPackage, ...]:
    """Return what a job asks for, each with what is the matter."""
    return tuple(
        StagingPackage(
            name=row.name,
            status=WorkStatus(row.status),
            file_count=row.file_count,
            size_bytes=row.content_bytes,
            size_bytes_done=row.done_bytes,
            operation_id=row.operation_id,
            why=_why(
                job,
                status=WorkStatus(row.status),
                state=PackageState(row.state),
                in_archive=row.in_archive,
                explanation=row.explanation,
            ),
        )
        for row in connection.execute(PACKAGES, {"jobs": [job.id]})
    )


def history_of_job(connection: Connection, job_id: int) -> tuple[StagingHistory, ...]:
    """Return what happened to a job, oldest first."""
    return tuple(
        StagingHistory(**(dict(row) | {"event": StagingEvent(row["event"])}))
        for row in connection.execute(EVENTS, {"job": job_id}).mappings()
    )


def _why(
    job: ExplainedJob, *, status: WorkStatus, state: PackageState, in_archive: bool, explanation: str | None
) -> str:
    if status is WorkStatus.COMPLETED:
        return ""
    if job.state is not StagingState.ACTIVE:
        return f"The job is {job.state}."
    if explanation is not None:
        return explanation
    if in_archive:
        return f"The next plan of staging at {job.location} takes it up."
    if state is PackageState.FAILED:
        return "It could not be made, or no good copy of it is left: it waits for a person (`dts explain` says more)."
    if state is PackageState.ARCHIVED:
        return "No archive has a verified copy of it at the moment: it is staged once one is repaired."
    return f"It is not archived yet ({state}): it is staged once an archive has a verified copy."
