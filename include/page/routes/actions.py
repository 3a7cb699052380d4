"""What operators do about operations, observations and packages: the same as `dts retry`, `dts flag` and `dts pin`."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from include.access.roles import Action
from include.api.access import Access, may
from include.api.documentation import problems
from include.api.parameters import WITHOUT_NUL, Number
from include.api.problems import ProblemError, not_found
from include.api.services import services_of
from include.explain.find import SubjectKind, find_package, observation_id_of, subject_of
from include.lifecycle.pins import pin as keep
from include.lifecycle.pins import pins_that_hold, release
from include.lifecycle.subjects import LifecycleSubject
from include.operations.decide import storable
from include.operations.record import reset
from include.ops_db.urgency import flag as flag_observation
from include.ops_db.urgency import unflag as unflag_observation
from include.plurals import counted
from include.registration.conf import Moment

router = APIRouter(tags=["operating"])

OPERATIONS_MOST = 1000

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=WITHOUT_NUL)]
"""For whoever wonders later."""
Word = Annotated[str, Field(min_length=1, max_length=300, pattern=WITHOUT_NUL)]


class Done(BaseModel):
    """What came of it."""

    sentence: str


class Retry(BaseModel):
    """Operations that should be tried again."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"operations": [17], "reason": "the disk is mended"}}
    )

    operations: list[Annotated[int, Field(ge=1, lt=2**63)]] = Field(min_length=1, max_length=OPERATIONS_MOST)
    reason: Reason


class Because(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"reason": "a supernova"}})

    reason: Reason


class Keep(BaseModel):
    """A package, or an observation, that must stay."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"subject": "package:7", "reason": "it is being looked at"}}
    )

    subject: Word
    """Name of a package, `package:ID`, or the UUID of an observation."""
    location: Word | None = None
    """None: everywhere."""
    until: Moment | None = None
    """None: until somebody releases it."""
    reason: Reason


class HeldPin(BaseModel):
    """A pin that holds."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    subject: str
    pinned_by: str
    reason: str
    pinned_at: datetime
    until: datetime | None
    location: str | None


class Pins(BaseModel):
    """All pins that hold."""

    items: list[HeldPin]


@router.post("/operations/retry", responses=problems())
async def retry(request: Request, asked: Retry, access: Annotated[Access, may(Action.RETRY)]) -> Done:
    """Try failed operations again, with a fresh budget; also those that pause before their next try."""
    services = services_of(request)
    person, reason = access.caller.account, storable(asked.reason)
    done = await services.ops_db.run(
        lambda: reset(services.ops_db.engine, operation_ids=asked.operations, person=person, reason=reason)
    )
    left = len(set(asked.operations)) - len(done)
    others = f" {counted(left, 'operation')} left as they are: they have not failed, or do not exist." if left else ""
    if not done:
        return Done(sentence=f"Nothing was changed.{others}")
    return Done(sentence=f"{counted(len(done), 'operation')} pending again: the next plan takes them up.{others}")


@router.post("/observations/{observation}/flag", responses=problems(404))
async def flag(
    request: Request, observation: UUID, because: Because, access: Annotated[Access, may(Action.FLAG)]
) -> Done:
    """Have an observation's packages overtake all others, at every stage."""
    person, reason = access.caller.account, storable(because.reason)
    flagged = await services_of(request).ops_db.change(
        lambda session: flag_observation(session.connection(), observation, person=person, reason=reason)
    )
    if not flagged.is_known:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no observation {observation} in ops-db.")
    return Done(sentence="It is flagged: the next plan of each stage lets its packages overtake.")


@router.delete("/observations/{observation}/flag", responses=problems(404), dependencies=[may(Action.FLAG)])
async def unflag(request: Request, observation: UUID) -> Done:
    """Have them overtake no more."""
    flagged = await services_of(request).ops_db.change(
        lambda session: unflag_observation(session.connection(), observation)
    )
    if not flagged.is_known:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no observation {observation} in ops-db.")
    was = "It is flagged no more: its packages wait for their turn like others."
    return Done(sentence=was if flagged.flagged_at else "It was not flagged; nothing changed.")


@router.get("/pins", responses=problems(), dependencies=[may(Action.READ_DELETIONS)])
async def pins(request: Request) -> Pins:
    """List the pins that hold, the oldest first."""
    return await services_of(request).ops_db.change(
        lambda session: Pins(items=[HeldPin.model_validate(held) for held in pins_that_hold(session)])
    )


@router.post("/pins", status_code=HTTPStatus.CREATED, responses=problems(404))
async def pin(request: Request, asked: Keep, access: Annotated[Access, may(Action.PIN)]) -> Done:
    """Keep a package, or all packages of an observation, from being deleted."""

    def change(session: Session) -> str:
        done = keep(
            session,
            _subject(session, asked.subject),
            location=asked.location,
            reason=storable(asked.reason),
            person=access.caller.account,
            until=asked.until,
        )
        late = "".join(
            f" Too late at {place}: {counted(count, 'package')} of it had gone or begun to go before."
            for place, count in done.too_late_at
        )
        return f"Pin {done.id} keeps {counted(done.packages, 'package')} at {asked.location or 'every location'}.{late}"

    return Done(sentence=await services_of(request).ops_db.change(change))


@router.delete("/pins/{pin}", responses=problems(404))
async def unpin(request: Request, pin: Number, access: Annotated[Access, may(Action.PIN)]) -> Done:
    """Release a pin. Who had pinned it, and why, stays on record."""
    person = access.caller.account
    released = await services_of(request).ops_db.change(
        lambda session: release(session, person=person, pin_id=pin, subject=LifecycleSubject(), location=None)
    )
    if not released:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no pin {pin} that holds.")
    return Done(sentence=f"Pin {pin} is released.")


def _subject(session: Session, word: str) -> LifecycleSubject:
    kind, word = subject_of(word)
    with not_found():
        if kind is SubjectKind.OBSERVATION:
            return LifecycleSubject(executed_obs_unit_id=observation_id_of(word))
        return LifecycleSubject(raw_data_package_id=find_package(session.connection(), word))
