"""Observations: started and finished by an instrument, with files in between."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, text
from starlette.responses import Response

from include.access.roles import Action
from include.api.access import Access, may
from include.api.bodies import JsonRoute
from include.api.documentation import problems
from include.api.etags import answered
from include.api.paging import Listing, Page, WantedPage, moment, uuid
from include.api.parameters import Filter, InstrumentName, When
from include.api.problems import ProblemError
from include.api.routes.packages import FILES, PackagedFile
from include.api.services import services_of
from include.registration.observations import Change, finish_observation, start_observation

router = APIRouter(prefix="/observations", tags=["observations"], route_class=JsonRoute)

OBSERVATION_EXAMPLE: dict[str, Any] = {
    "id": "6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69",
    "instrument": "primecam",
    "started_at": "2026-04-01T03:20:00Z",
    "finished_at": None,
    "closed_at": None,
}


class Observation(BaseModel):
    """An ExecutedObsUnit."""

    model_config = ConfigDict(json_schema_extra={"example": OBSERVATION_EXAMPLE})

    id: UUID
    instrument: str
    started_at: datetime
    finished_at: datetime | None
    closed_at: datetime | None
    """Since when no more files are taken."""


class Start(BaseModel):
    """The beginning of an observation."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"instrument": "primecam", "started_at": "2026-04-01T03:20:00Z"}}
    )

    instrument: InstrumentName
    started_at: When


class Finish(BaseModel):
    """The end of an observation: no more files come."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"finished_at": "2026-04-01T04:00:00Z"}})

    finished_at: When


QUERY = """
select o.id, i.name as instrument, o.started_at, o.finished_at, o.closed_at, o.started_at as key_0, o.id as key_1
from executed_obs_unit o join instrument i on i.id = o.instrument_id
"""
OBSERVATIONS = Listing(
    model=Observation, query=QUERY, keys=(("o.started_at", moment), ("o.id", uuid)), newest_first=True
)
IDS = text("select id from instrument where name = any(:names)")


@router.get("", responses=problems())
async def list_observations(
    request: Request,
    access: Annotated[Access, may(Action.READ_OBSERVATIONS)],
    wanted: WantedPage,
    instrument: Filter = None,
) -> Page[Observation]:
    """List observations, the newest first."""

    def ask(connection: Connection) -> Page[Observation]:
        names = access.own_instruments if instrument is None else [instrument]
        if instrument is not None and access.own_instruments is not None:
            names = [name for name in access.own_instruments if name == instrument]
        ids = None if names is None else list(connection.execute(IDS, {"names": names}).scalars())
        return OBSERVATIONS.page(connection, wanted, where=[("o.instrument_id = any(:value)", ids)])

    return await services_of(request).ops_db.read(ask)


@router.get("/{observation}", response_model=Observation, responses=problems(404))
async def get_observation(
    request: Request, observation: UUID, access: Annotated[Access, may(Action.READ_OBSERVATIONS)]
) -> Response:
    """Return an observation."""
    return answered(
        request,
        await services_of(request).ops_db.read(lambda connection: _observation(connection, observation, access)),
    )


@router.put(
    "/{observation}",
    response_model=Observation,
    status_code=HTTPStatus.CREATED,
    responses=problems(409) | {200: {"model": Observation, "description": "It was started before."}},
)
async def start(
    request: Request,
    observation: UUID,
    start: Start,
    access: Annotated[Access, may(Action.START_OBSERVATION)],
) -> Response:
    """Start an observation, under a UUID that the instrument makes. The same again changes nothing."""
    require_own(access, start.instrument)
    services = services_of(request)
    change = await services.ops_db.change(
        lambda session: start_observation(
            session, observation=observation, instrument=start.instrument, started_at=start.started_at
        )
    )
    found = await services.ops_db.read(lambda connection: _observation(connection, observation, access))
    made = change is Change.MADE
    return answered(
        request, found, status=HTTPStatus.CREATED if made else HTTPStatus.OK, location=request.url.path if made else ""
    )


@router.post("/{observation}/finish", response_model=Observation, responses=problems(404, 409))
async def finish(
    request: Request,
    observation: UUID,
    finish: Finish,
    access: Annotated[Access, may(Action.FINISH_OBSERVATION)],
) -> Response:
    """Say that an observation is over and no more files of it come: what is open is packaged."""
    services = services_of(request)
    await services.ops_db.read(lambda connection: _observation(connection, observation, access))
    await services.ops_db.change(
        lambda session: finish_observation(session, observation=observation, finished_at=finish.finished_at)
    )
    return answered(
        request, await services.ops_db.read(lambda connection: _observation(connection, observation, access))
    )


@router.get("/{observation}/files", responses=problems(404))
async def list_files(
    request: Request,
    observation: UUID,
    access: Annotated[Access, may(Action.READ_OBSERVATIONS)],
    wanted: WantedPage,
) -> Page[PackagedFile]:
    """List the files of an observation that were accepted, by path."""

    def ask(connection: Connection) -> Page[PackagedFile]:
        _observation(connection, observation, access)
        return FILES.page(connection, wanted, where=[("f.executed_obs_unit_id = :value", observation)])

    return await services_of(request).ops_db.read(ask)


def require_own(access: Access, instrument: str) -> None:
    """Refuse what is about an instrument that is not the caller's."""
    if access.own_instruments is not None and instrument not in access.own_instruments:
        own = ", ".join(access.own_instruments) or "none"
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"{access.caller.account} files for {own}, and not for {instrument}: use that instrument's own account.",
        )


def _observation(connection: Connection, observation: UUID, access: Access) -> Observation:
    row = connection.execute(text(f"{QUERY} where o.id = :id"), {"id": observation}).mappings().one_or_none()
    own = access.own_instruments
    if row is None or (own is not None and row["instrument"] not in own):
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no observation {observation} in ops-db.")
    return Observation.model_validate(dict(row))
