"""What a StagingJob asks for, package by package, and what people did to it."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.parameters import Number
from include.api.problems import not_found
from include.api.services import services_of
from include.explain.staging import explain_job, history_of_job, packages_of_job
from include.ops_db.states import StagingEvent, WorkStatus

router = APIRouter(prefix="/staging-jobs", tags=["page"])


class StagedPackage(BaseModel):
    """A package that a job asks for. Sizes in bytes, of its files."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    status: WorkStatus
    file_count: int
    size_bytes: int
    size_bytes_done: int
    operation_id: int | None
    why: str


class Happened(BaseModel):
    """What happened to a job."""

    model_config = ConfigDict(from_attributes=True)

    recorded_at: datetime
    event: StagingEvent
    person: str | None
    asked_through: str
    until: datetime
    reason: str


class JobInFull(BaseModel):
    """What a job asks for, and its history."""

    packages: list[StagedPackage]
    history: list[Happened]


@router.get("/{job}/packages", responses=problems(404), dependencies=[may(Action.READ_STAGING)])
async def job_in_full(request: Request, job: Number) -> JobInFull:
    """Return what a StagingJob asks for, each with what is the matter, and what was done to it."""

    def ask(connection: Connection) -> JobInFull:
        with not_found():
            found = explain_job(connection, job)
        return JobInFull(
            packages=[StagedPackage.model_validate(each) for each in packages_of_job(connection, found)],
            history=[Happened.model_validate(each) for each in history_of_job(connection, job)],
        )

    return await services_of(request).ops_db.read(ask)
