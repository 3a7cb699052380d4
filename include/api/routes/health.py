"""Whether the data transfer system is well."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import Connection, text

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.services import Services, services_of

router = APIRouter(prefix="/health", tags=["health"])

APPLIED = text("select sha256 from topology_version order by id desc limit 1")
WAITING = text("select count(*) as filings, min(received_at) as since from filing where state = 'received'")
FAILED = text("select count(*) from operation where status = 'failed'")


class Health(BaseModel):
    """How the data transfer system is."""

    well: bool
    """Nothing waits for a person."""
    topology_is_applied: bool
    """This server reads the topology that ops-db holds; else it takes no filings."""
    filings_waiting: int
    """For their verdict."""
    oldest_filing_waiting_since: datetime | None
    failed_operations: int
    """Each waits for a person."""


@router.get("", responses=problems(), dependencies=[may(Action.READ_HEALTH)])
async def health(request: Request) -> Health:
    """Say how the system is."""
    services = services_of(request)
    return await services.ops_db.read(lambda connection: _health(connection, services))


def _health(connection: Connection, services: Services) -> Health:
    waiting = connection.execute(WAITING).one()
    failed = connection.execute(FAILED).scalar_one()
    applied = connection.execute(APPLIED).scalar() == services.topology().sha256
    return Health(
        well=applied and not failed,
        topology_is_applied=applied,
        filings_waiting=waiting.filings,
        oldest_filing_waiting_since=waiting.since,
        failed_operations=failed,
    )
