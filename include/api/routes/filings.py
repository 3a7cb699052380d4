"""Filings: files of an observation, and the verdict on them."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, text
from starlette.responses import Response

from include.access.roles import Action
from include.api.access import Access, may
from include.api.bodies import JsonRoute, body_of
from include.api.documentation import problems
from include.api.etags import answered
from include.api.filing_body import FILING_BODY, SentFiling, sent_filing
from include.api.paging import Listing, Page, WantedPage, whole_number
from include.api.parameters import Number
from include.api.problems import ProblemError
from include.api.routes.observations import require_own
from include.api.services import Services, services_of
from include.ops_db.states import FilingState
from include.registration.receive import Received, receive

router = APIRouter(tags=["filings"], route_class=JsonRoute)

WAIT_SECONDS_MAX = 30.0


class Filing(BaseModel):
    """What an account sent about files of an observation, and what became of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 17,
                "state": "received",
                "verdict": "Received: 2 files of observation 6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69; …",
                "observation": "6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69",
                "instrument": "primecam",
                "instrument_module": "mod280",
                "data_location": "ccat_source",
                "idempotency_key": "6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69.0123456789abcdef",
                "received_from": "primecam",
                "received_at": "2026-04-01T03:31:00Z",
                "decided_at": None,
                "file_count": 2,
                "size_bytes": 20480,
            }
        }
    )

    id: int
    state: FilingState
    """`received` until the host that has the files has looked at them."""
    verdict: str
    """One sentence: accepted with what, or refused and why, or what it waits for."""
    observation: UUID | None
    """None: what was sent through the DAG named none."""
    instrument: str | None
    instrument_module: str | None
    data_location: str | None
    idempotency_key: str
    """Also the id of the run, for what was sent through the DAG."""
    received_from: str
    received_at: datetime
    decided_at: datetime | None
    file_count: int
    size_bytes: int


QUERY = """
select f.id, f.state, f.verdict
    || case when f.state = 'received' then ' No verdict yet: ' || coalesce(
      (select o.explanation from operation o where o.kind = 'registration' and o.data_location_id = f.data_location_id
        and o.filing_id = f.id and o.status not in ('completed', 'cancelled')),
      'The next plan of the lane takes it up.') else '' end as verdict,
  f.executed_obs_unit_id as observation, f.conf ->> 'instrument' as instrument,
  f.conf ->> 'instrument_module' as instrument_module, f.conf ->> 'data_location' as data_location,
  f.dag_run_id as idempotency_key, f.received_from, f.received_at, f.decided_at, f.file_count, f.size_bytes,
  f.id as key_0
from filing f
"""
FILINGS = Listing(model=Filing, query=QUERY, keys=(("f.id", whole_number),))


@router.get("/filings", responses=problems())
async def list_filings(
    request: Request,
    access: Annotated[Access, may(Action.READ_FILINGS)],
    wanted: WantedPage,
    observation: UUID | None = None,
    state: FilingState | None = None,
) -> Page[Filing]:
    """List filings, the newest first."""
    where = [
        ("f.received_from = :value", access.own_account),
        ("f.executed_obs_unit_id = :value", observation),
        ("f.state = :value", state),
    ]
    return await services_of(request).ops_db.read(lambda connection: FILINGS.page(connection, wanted, where=where))


@router.get("/filings/{filing}", response_model=Filing, responses=problems(404))
async def get_filing(
    request: Request,
    filing: Number,
    access: Annotated[Access, may(Action.READ_FILINGS)],
    wait: Annotated[float, Query(ge=0, le=WAIT_SECONDS_MAX, description="Wait for a verdict: seconds.")] = 0,
) -> Response:
    """Return a filing; with `wait` as soon as it is decided, or as it is after so many seconds."""
    services = services_of(request)
    found = await services.ops_db.read(lambda connection: _filing(connection, filing, access))
    if wait and found.state is FilingState.RECEIVED:
        await services.decisions.wait(filing, seconds=wait)
        found = await services.ops_db.read(lambda connection: _filing(connection, filing, access))
    return answered(request, found)


@router.post(
    "/observations/{observation}/files",
    response_model=Filing,
    status_code=HTTPStatus.ACCEPTED,
    responses=problems(409) | {200: {"model": Filing, "description": "It was filed before."}},
    openapi_extra={"requestBody": FILING_BODY},
)
async def file(
    request: Request,
    observation: UUID,
    access: Annotated[Access, may(Action.FILE)],
    idempotency_key: Annotated[str | None, Header(pattern=r"^[A-Za-z0-9_.~:+-]{1,100}$")] = None,
) -> Response:
    """File files of an observation: as JSON, or as a stream of lines of which the first is the filing without files.

    The verdict comes later, from the host that has the files: GET the filing, which `Location` names, with `wait`.
    """
    services = services_of(request)
    body = await body_of(request)
    with body.file:
        key = idempotency_key or f"{observation}.{body.sha256[:16]}"
        received = await services.ops_db.run(
            lambda: _received(services, sent_filing(body, observation=observation), key=key, access=access)
        )
    if received.location is not None and received.is_new:
        services.ring()
    if received.filing_id is None:
        raise AssertionError("what was sent is a filing")
    location = f"{request.scope.get('root_path', '')}/api/v1/filings/{received.filing_id}"
    if received.state is FilingState.REFUSED and received.location is None and received.is_new:
        reason = received.verdict.removeprefix("Refused: ")
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, reason, headers={"Location": location})
    number = received.filing_id
    found = await services.ops_db.read(lambda connection: _filing(connection, number, access))
    status = HTTPStatus.ACCEPTED if received.is_new else HTTPStatus.OK
    return answered(request, found, status=status, location=location)


def _received(services: Services, filing: SentFiling, *, key: str, access: Access) -> Received:
    """Write it down, by the code that writes down the filings of the DAG."""
    topology = services.topology()
    if filing.instrument in [instrument.name for instrument in topology.instruments]:
        require_own(access, str(filing.instrument))
    return receive(
        services.ops_db.engine,
        topology=topology,
        dag_run_id=key,
        conf=filing.conf,
        received_from=access.caller.account,
        sent=filing.sent,
    )


def _filing(connection: Connection, filing: int, access: Access) -> Filing:
    row = connection.execute(text(f"{QUERY} where f.id = :id"), {"id": filing}).mappings().one_or_none()
    if row is None or access.own_account not in {None, row["received_from"]}:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no filing {filing} in ops-db.")
    return Filing.model_validate(dict(row))
