"""What a person asks of staging, through the form or over REST: a new StagingJob, a later date, or its end."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from include.dates import moment_of
from include.errors import BadInputError
from include.explain.staging import explain_job
from include.explain.subjects import packages_asked_for
from include.lifecycle.staging_jobs import (
    Asking,
    extend_staging,
    job_asked_for_through,
    release_staging,
    request_staging,
)
from include.operations.decide import clock


class StagingRequest(BaseModel):
    """The parameters of a run; a key that nobody knows is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    packages: list[str] | None = None
    """Also what the run's lanes are restricted to."""
    subjects: list[str] | None = None
    """Packages, observations, or an instrument with a time (include.explain.subjects)."""
    only_location: str | None = None
    until: str | None = None
    reason: str | None = None
    wait: bool | None = None
    extend: int | None = Field(default=None, ge=1, lt=2**63)
    release: int | None = Field(default=None, ge=1, lt=2**63)

    @property
    def asks_for_something(self) -> bool:
        """Tell whether it is more than a look for work."""
        return bool(self.until or self.subjects or self.extend is not None or self.release is not None)

    @property
    def moment(self) -> datetime:
        """Until when.

        Raises:
            BadInputError: that is not said, or is no date.
        """
        if not self.until:
            raise BadInputError("Until when? Give `until`: 2026-12-31, or 2026-12-31T18:00 (UTC).")
        return moment_of(self.until, to_its_end=True)


def read_request(params: dict[str, object]) -> StagingRequest:
    """Read the parameters of a run.

    Raises:
        BadInputError: each of them that makes no sense.
    """
    try:
        return StagingRequest.model_validate(params)
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()[:5]
        )
        raise BadInputError(f"This is no request for staging: {mistakes}.") from error


def fulfil(session: Session, request: StagingRequest, *, person: str, run_id: str) -> str:
    """Do what is asked in the caller's transaction, and return a sentence about it.

    Raises:
        BadInputError: it makes no sense; nothing was written.
    """
    asking = Asking(person=person, reason=request.reason or "", through=f"Airflow run {run_id}")
    if not request.asks_for_something:
        return "No StagingJob is asked for in this run."
    if (done := job_asked_for_through(session, asking.through)) is not None:
        # The task was cleared, or its worker died after it was done.
        return f"This run has asked for it already. {_said(session, done)}"
    if request.release is not None:
        if request.until or request.extend is not None or request.subjects or request.packages:
            raise BadInputError("To release a StagingJob give its number, and a reason if you like, and nothing else.")
        release_staging(session, job_id=request.release, asking=asking)
        return f"StagingJob {request.release} is released: what no other job protects may be deleted."
    if request.extend is not None:
        if request.subjects or request.packages:
            raise BadInputError("A job's packages never change: to extend it give its number and `until` only.")
        extend_staging(session, job_id=request.extend, until=request.moment, asking=asking)
        return f"StagingJob {request.extend} is extended until {clock(request.moment)}."
    return _stage(session, request, asking=asking)


def _stage(session: Session, request: StagingRequest, *, asking: Asking) -> str:
    if not request.only_location:
        raise BadInputError("Where to? Give `only_location`: the full name of a processing location.")
    asked = packages_asked_for(session.connection(), [*(request.packages or []), *(request.subjects or [])])
    job_id = request_staging(
        session,
        packages=asked.named,
        also=asked.found,
        location=request.only_location,
        until=request.moment,
        requested_by=asking.person,
        reason=asking.reason,
        may_wait=bool(request.wait),
        asked_through=asking.through,
    )
    return _said(session, job_id)


def _said(session: Session, job_id: int) -> str:
    job = explain_job(session.connection(), job_id)
    return f"StagingJob {job.id} at {job.location} until {clock(job.until)}. {job.sentence}"
