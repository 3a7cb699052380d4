"""StagingJobs: scientists ask for packages at a PROCESSING location until a date."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session
from starlette.responses import Response

from include.access.roles import Action
from include.api.access import Access, may
from include.api.bodies import JsonRoute
from include.api.documentation import problems
from include.api.etags import answered
from include.api.paging import Listing, Page, WantedPage, whole_number
from include.api.parameters import WITHOUT_NUL, Filter, Number, When
from include.api.problems import ProblemError, not_found
from include.api.services import services_of
from include.errors import BadInputError
from include.explain.staging import ExplainedJob, explain_job, explain_jobs
from include.explain.subjects import packages_asked_for
from include.lifecycle.staging_jobs import (
    Asking,
    extend_staging,
    job_asked_for_through,
    release_staging,
    request_staging,
)
from include.ops_db.states import StagingState

router = APIRouter(prefix="/staging-jobs", tags=["staging jobs"], route_class=JsonRoute)

Word = Annotated[str, Field(min_length=1, max_length=300, pattern=WITHOUT_NUL)]
Reason = Annotated[str, Field(max_length=1000, pattern=WITHOUT_NUL)]


class Wish(BaseModel):
    """What is to be where until when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "subjects": ["primecam:2026-11-20"],
                "location": "cologne_processing",
                "until": "2026-12-31T00:00:00Z",
                "reason": "maps of November",
            }
        },
    )

    subjects: list[Word] = Field(min_length=1, max_length=1000)
    """Packages, UUIDs of observations, or an instrument and when its observations began: `primecam:2026-11-20`."""
    location: Word
    until: When
    reason: Reason = ""
    may_wait: bool = False
    """Also if there is no room for it now, or no archive has it yet."""


class Extension(BaseModel):
    """A later end."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"until": "2027-01-31T00:00:00Z"}})

    until: When
    reason: Reason = ""


class _Numbered(BaseModel):
    id: int


JOBS = Listing(model=_Numbered, query="select j.id, j.id as key_0 from staging_job j", keys=(("j.id", whole_number),))
ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtext('staging asked for through ' || :through))")


@router.get("", responses=problems(), dependencies=[may(Action.READ_STAGING)])
async def list_jobs(
    request: Request, wanted: WantedPage, requested_by: Filter = None, state: StagingState | None = None
) -> Page[ExplainedJob]:
    """List StagingJobs and how far they are, the newest first."""
    where = [("j.requested_by = :value", requested_by), ("j.state = :value", state)]

    def ask(connection: Connection) -> Page[ExplainedJob]:
        page = JOBS.page(connection, wanted, where=where)
        jobs = explain_jobs(connection, [item.id for item in page.items])
        return Page(items=sorted(jobs, key=lambda job: job.id, reverse=True), next=page.next)

    return await services_of(request).ops_db.read(ask)


@router.get("/{job}", response_model=ExplainedJob, responses=problems(404), dependencies=[may(Action.READ_STAGING)])
async def get_job(request: Request, job: Number) -> Response:
    """Return a StagingJob and how far it is."""

    def ask(connection: Connection) -> ExplainedJob:
        with not_found():
            return explain_job(connection, job)

    return answered(request, await services_of(request).ops_db.read(ask))


@router.post(
    "",
    response_model=ExplainedJob,
    status_code=HTTPStatus.CREATED,
    responses=problems() | {200: {"model": ExplainedJob, "description": "It was asked for under this key before."}},
)
async def ask_for(
    request: Request,
    wish: Wish,
    access: Annotated[Access, may(Action.REQUEST_STAGING)],
    idempotency_key: Annotated[str | None, Header(pattern=r"^[A-Za-z0-9_.~:+-]{1,100}$")] = None,
) -> Response:
    """Ask for packages; with an `Idempotency-Key` once, however often it is sent."""
    caller = access.caller
    through = caller.through if idempotency_key is None else f"{caller.through}, {caller.account}, {idempotency_key}"

    def make(session: Session) -> tuple[ExplainedJob, bool]:
        if idempotency_key is not None:
            session.execute(ONE_AT_A_TIME, {"through": through})
            if (before := job_asked_for_through(session, through)) is not None:
                return explain_job(session.connection(), before), False
        asked = packages_asked_for(session.connection(), wish.subjects)
        number = request_staging(
            session,
            packages=asked.named,
            also=asked.found,
            location=wish.location,
            until=wish.until,
            requested_by=caller.account,
            reason=wish.reason,
            may_wait=wish.may_wait,
            asked_through=through,
        )
        return explain_job(session.connection(), number), True

    job, made = await services_of(request).ops_db.change(make)
    location = f"{request.scope.get('root_path', '')}/api/v1/staging-jobs/{job.id}"
    return answered(request, job, status=HTTPStatus.CREATED if made else HTTPStatus.OK, location=location)


@router.patch("/{job}", response_model=ExplainedJob, responses=problems(404, 409))
async def extend(
    request: Request, job: Number, extension: Extension, access: Annotated[Access, may(Action.EXTEND_STAGING)]
) -> Response:
    """Have a StagingJob end later."""

    def change(session: Session) -> ExplainedJob:
        asking = _asking(session, request, job=job, access=access, reason=extension.reason)
        with _conflicts():
            extend_staging(session, job_id=job, until=extension.until, asking=asking)
        return explain_job(session.connection(), job)

    return answered(request, await services_of(request).ops_db.change(change))


@router.delete("/{job}", response_model=ExplainedJob, responses=problems(404, 409))
async def release(
    request: Request,
    job: Number,
    access: Annotated[Access, may(Action.RELEASE_STAGING)],
    reason: Annotated[str, Query(max_length=1000, pattern=WITHOUT_NUL)] = "",
) -> Response:
    """Have a StagingJob end now: what no other job protects may be deleted."""

    def change(session: Session) -> ExplainedJob:
        asking = _asking(session, request, job=job, access=access, reason=reason)
        with _conflicts():
            release_staging(session, job_id=job, asking=asking)
        return explain_job(session.connection(), job)

    return answered(request, await services_of(request).ops_db.change(change))


def _asking(session: Session, request: Request, *, job: int, access: Access, reason: str) -> Asking:
    """Return who asks, if there is such a job and it is his to change."""
    with not_found():
        owner = explain_job(session.connection(), job).requested_by
    caller = access.caller
    operators = services_of(request).topology().operators
    if access.own_account not in {None, owner} and caller.account not in operators:
        raise ProblemError(
            HTTPStatus.FORBIDDEN, f"StagingJob {job} is {owner}'s: only {owner} or an operator may do this."
        )
    return Asking(person=caller.account, reason=reason, through=caller.through, is_operator=access.own_account is None)


@contextmanager
def _conflicts() -> Iterator[None]:
    """Answer 409 where the job is over, or would not end later."""
    try:
        yield
    except BadInputError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error)) from error
