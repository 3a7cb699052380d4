"""Who looks at the page, and what he may do there: the page shows no button that the server would refuse."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel

from include.access.roles import Action, Role
from include.api.access import Access, may
from include.api.documentation import problems
from include.api.services import services_of
from include.topology import LocationType

router = APIRouter(prefix="/account", tags=["page"])


class Account(BaseModel):
    """Who calls."""

    account: str
    roles: list[Role]
    may: list[Action]
    """By the table of the API."""
    instruments: list[str]
    """That there are, for choices."""
    modules: list[str]
    locations: list[str]
    processing: list[str]
    """Locations at which packages can be staged."""


@router.get("", responses=problems())
async def account(request: Request, access: Annotated[Access, may(Action.OPEN_PAGE)]) -> Account:
    """Say who calls, and what he may do."""
    topology = services_of(request).topology()
    caller = access.caller
    return Account(
        account=caller.account,
        roles=sorted(caller.roles),
        may=[action for action in Action if caller.reach(action) is not None],
        instruments=[instrument.name for instrument in topology.instruments],
        modules=sorted({module for instrument in topology.instruments for module in instrument.modules}),
        locations=[location.full_name for location in topology.data_locations],
        processing=[location.full_name for location in topology.of_type(LocationType.PROCESSING)],
    )
