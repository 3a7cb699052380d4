"""Places: sites with their locations, and how full these are."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import Connection

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.paging import Listing, Page, WantedPage, words
from include.api.services import services_of
from include.ops_db.measurements import how_full
from include.ops_db.states import Condition
from include.topology import LocationType

router = APIRouter(prefix="/places", tags=["places"], dependencies=[may(Action.READ_PLACES)])


class Row(BaseModel):
    """A location as ops-db knows it."""

    full_name: str
    site: str
    location_type: LocationType
    storage_type: str
    active: bool


class Place(Row):
    """A location, and how full it is. Sizes in bytes; None: not known, or not measured yet."""

    condition: Condition | None = None
    why: str = ""
    total_bytes: int | None = None
    used_bytes: int | None = None
    measured_at: datetime | None = None


PLACES = Listing(
    model=Row,
    query="select full_name, site, location_type, storage_type, active, full_name as key_0 from data_location",
    keys=(("full_name", words),),
    newest_first=False,
)


@router.get("", responses=problems())
async def list_places(request: Request, wanted: WantedPage) -> Page[Place]:
    """List locations by name, also those that have left the topology (`active` is false)."""

    def ask(connection: Connection) -> Page[Place]:
        page = PLACES.page(connection, wanted)
        known = how_full(connection)
        return Page(items=[_place(row, known.get(row.full_name)) for row in page.items], next=page.next)

    return await services_of(request).ops_db.read(ask)


def _place(row: Row, full: object) -> Place:
    measured = {name: getattr(full, name) for name in Place.model_fields.keys() - Row.model_fields.keys() if full}
    return Place(**row.model_dump(), **measured)
