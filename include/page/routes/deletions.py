"""What was deleted and why, what the brake asks, what the gate would say: `dts brake`, and `dts delete --dry-run`."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from include.access.roles import Action
from include.api.access import Access, may
from include.api.documentation import problems
from include.api.paging import Listing, Page, WantedPage, whole_number
from include.api.parameters import WITHOUT_NUL, Filter, Number
from include.api.problems import ProblemError, not_found
from include.api.services import services_of
from include.errors import BadInputError
from include.explain.subjects import packages_asked_for
from include.lifecycle import brake_answers
from include.lifecycle.preview import brake_sentence, preview
from include.operations.decide import storable
from include.ops_db.states import BrakeAnswer
from include.page.routes.actions import Because, Reason

router = APIRouter(tags=["deletions"])

READ = may(Action.READ_DELETIONS)
PREVIEWED = 200
"""Each is a question to the gate."""


class DeletionRecord(BaseModel):
    """Why a package's copies were allowed to go from a location. Sizes in bytes."""

    id: int
    recorded_at: datetime
    package: str
    location: str
    requested_by: str
    reason: str
    run_id: str | None
    policy_version: int
    override: int | None
    copy_count: int
    size_bytes: int
    evidence: list[dict[str, Any]]
    """The copies that justified it, with checksum and time of last verification."""
    deleted_at: datetime | None
    """When the last byte had gone; None: not yet."""


class Question(BaseModel):
    """What the brake asks, and what was said."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    location: str
    asked_at: datetime
    requested_by: str
    run_id: str | None
    package_count: int
    copy_count: int
    size_bytes: int
    location_bytes: int | None
    why: str
    answer: BrakeAnswer | None
    answered_at: datetime | None
    answered_by: str | None
    reason: str | None
    lifted_at: datetime | None
    lifted_by: str | None
    sentence: str


class Questions(BaseModel):
    """Questions, the newest first."""

    items: list[Question]


class AskedPackage(BaseModel):
    """A package that a question is about."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    copy_count: int
    size_bytes: int
    archived_at: datetime | None


class AskedPackages(BaseModel):
    """Packages that a question is about, the largest first."""

    question: Question
    items: list[AskedPackage]


class Answer(BaseModel):
    """Yes or no."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"answer": "refused", "reason": "not before the meeting"}}
    )

    answer: Literal["approved", "refused"]
    reason: Reason


class Judged(BaseModel):
    """What the gate would say about a package at a location now."""

    model_config = ConfigDict(from_attributes=True)

    package: str
    location: str
    copies: int
    size_bytes: int
    may_go: bool
    reason: str


class DryRun(BaseModel):
    """What would go from a location, and what would stay, and why; nothing was changed."""

    items: list[Judged]
    brake: str | None
    """What the brake would hold back; None: nothing."""


LEDGER = Listing(
    model=DeletionRecord,
    query="""
    select d.id, d.recorded_at, p.name as package, l.full_name as location, d.requested_by, d.reason, d.run_id,
      d.topology_version_id as policy_version, d.copy_rule_override_id as override, d.copy_count, d.size_bytes,
      d.evidence, case when l.location_type = 'source' then p.raw_files_gone_at
        else (select c.deleted_at from physical_copy c where c.raw_data_package_id = p.id
          and c.data_location_id = l.id) end as deleted_at, d.id as key_0
    from deletion_record d
    join raw_data_package p on p.id = d.raw_data_package_id
    join data_location l on l.id = d.data_location_id
    """,
    keys=(("d.id", whole_number),),
)


@router.get("/deletions", responses=problems(), dependencies=[READ])
async def ledger(
    request: Request, wanted: WantedPage, location: Filter = None, package: Filter = None
) -> Page[DeletionRecord]:
    """List what was allowed to be deleted, the newest first, with what justified it."""
    where = [("l.full_name = :value", location), ("p.name = :value", package)]
    return await services_of(request).ops_db.read(lambda connection: LEDGER.page(connection, wanted, where=where))


@router.get("/deletions/dry-run", responses=problems(), dependencies=[READ])
async def dry_run(
    request: Request,
    location: Annotated[str, Query(min_length=1, max_length=300, pattern=WITHOUT_NUL)],
    subject: Filter = None,
) -> DryRun:
    """Ask the gate what would go from a location, and what would stay there and why; nothing changes."""
    services = services_of(request)
    topology = services.topology()

    def ask(session: Session) -> DryRun:
        place = topology.location(location)
        asked = packages_asked_for(session.connection(), [subject]) if subject else None
        names = (*asked.named, *asked.found) if asked else ()
        rows = preview(session, topology=topology, location=place, packages=names[:PREVIEWED], most=PREVIEWED)
        brake = brake_sentence(session, topology, place, rows)
        session.rollback()  # the gate writes nothing, and what it locked is free again
        return DryRun(items=[Judged.model_validate(row, from_attributes=True) for row in rows], brake=brake)

    def alone() -> DryRun:
        with Session(services.ops_db.engine) as session:
            return ask(session)

    return await services.ops_db.run(alone)


@router.get("/brakes", responses=problems(), dependencies=[READ])
async def brakes(
    request: Request,
    answered: Annotated[bool, Query(description="Also those that were answered.")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Questions:
    """List the brake's questions that wait for an answer, the newest first."""
    found = await services_of(request).ops_db.read(
        lambda connection: brake_answers.questions(connection, answered_too=answered, most=limit)
    )
    return Questions(items=[Question.model_validate(each) for each in found])


@router.get("/brakes/{brake}/packages", responses=problems(404), dependencies=[READ])
async def asked_packages(
    request: Request, brake: Number, limit: Annotated[int, Query(ge=1, le=100_000)] = 1000
) -> AskedPackages:
    """List the packages that a question is about, the largest first."""

    def ask(connection: Connection) -> AskedPackages:
        with not_found():
            question = brake_answers.question(connection, brake)
        packages = brake_answers.asked_packages(connection, brake, most=limit)
        items = [AskedPackage.model_validate(each) for each in packages]
        return AskedPackages(question=Question.model_validate(question), items=items)

    return await services_of(request).ops_db.read(ask)


@router.post("/brakes/{brake}/answer", responses=problems(404, 409))
async def answer_brake(
    request: Request, brake: Number, answer: Answer, access: Annotated[Access, may(Action.ANSWER_BRAKE)]
) -> Question:
    """Say yes, exactly this list may go, or no; for good. The gate still asks its questions."""
    person, reason = access.caller.account, storable(answer.reason)

    def change(session: Session) -> brake_answers.Question:
        with not_found():
            brake_answers.question(session.connection(), brake)
        try:
            said = BrakeAnswer(answer.answer)
            return brake_answers.answer(session.connection(), brake, said, person=person, reason=reason)
        except BadInputError as error:
            raise ProblemError(HTTPStatus.CONFLICT, str(error)) from error

    return Question.model_validate(await services_of(request).ops_db.change(change))


@router.post("/brakes/{brake}/lift", responses=problems(404, 409))
async def lift_brake(
    request: Request, brake: Number, because: Because, access: Annotated[Access, may(Action.ANSWER_BRAKE)]
) -> Question:
    """Forget a refusal: the same packages may be asked about again."""
    person, reason = access.caller.account, storable(because.reason)

    def change(session: Session) -> brake_answers.Question:
        with not_found():
            brake_answers.question(session.connection(), brake)
        try:
            return brake_answers.lift(session.connection(), brake, person=person, reason=reason)
        except BadInputError as error:
            raise ProblemError(HTTPStatus.CONFLICT, str(error)) from error

    return Question.model_validate(await services_of(request).ops_db.change(change))
