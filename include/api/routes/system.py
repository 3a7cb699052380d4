"""For load balancers and scrapers: whether the system is ready, and how things stand in numbers."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy import Connection, text

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.services import services_of
from include.health.state import State, health
from include.metrics.exposition import CONTENT_TYPE, exposed
from include.metrics.sample import standing

router = APIRouter(tags=["health"], dependencies=[may(Action.READ_HEALTH)])

NOW = text("select clock_timestamp()")


class Readiness(BaseModel):
    """How the system is."""

    status: State
    reasons: list[str]
    """Of what is not as it should be; the worst first."""


@router.get("/health", responses=problems() | {503: {"model": Readiness, "description": "It is not ready."}})
async def readiness(request: Request, response: Response) -> Readiness:
    """Say whether it is ready (200), degraded (200) or not ready (503), and why."""
    services = services_of(request)
    found = await services.ops_db.read(lambda connection: health(connection, topology=services.topology()))
    if found.state is State.NOT_READY:
        response.status_code = 503
    return Readiness(status=found.state, reasons=list(found.reasons))


@router.get("/metrics", response_class=Response, responses=problems() | {200: {"content": {CONTENT_TYPE: {}}}})
async def metrics(request: Request) -> Response:
    """Return how things stand, for Prometheus."""
    services = services_of(request)

    def look(connection: Connection) -> str:
        now = connection.execute(NOW).scalar_one()
        return exposed(standing(connection, topology=services.topology(), now=now))

    return Response(await services.ops_db.read(look), media_type=CONTENT_TYPE)
