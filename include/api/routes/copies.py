"""PhysicalCopies of packages: where each lies, and when its bytes were last verified."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import Connection, text

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.paging import Listing, Page, WantedPage, whole_number
from include.api.parameters import Filter
from include.api.problems import ProblemError, not_found
from include.api.services import services_of
from include.explain.find import find_package
from include.ops_db.states import CopyStatus

router = APIRouter(prefix="/copies", tags=["copies"], dependencies=[may(Action.READ_COPIES)])


class Copy(BaseModel):
    """A copy of a package at a location."""

    id: int
    package: str
    location: str
    path: str
    size_bytes: int
    status: CopyStatus
    wanted: bool
    checksum: str | None
    verified_at: datetime | None
    """None: these bytes were never checked where they lie."""
    created_at: datetime
    deleted_at: datetime | None


COPIES = Listing(
    model=Copy,
    query="""
    select c.id, p.name as package, l.full_name as location, c.path, c.size_bytes, c.status, c.wanted, c.checksum,
      c.verified_at, c.created_at, c.deleted_at, c.raw_data_package_id as key_0, c.data_location_id as key_1
    from physical_copy c
    join raw_data_package p on p.id = c.raw_data_package_id
    join data_location l on l.id = c.data_location_id
    """,
    keys=(("c.raw_data_package_id", whole_number), ("c.data_location_id", whole_number)),
)
LOCATION = text("select id from data_location where full_name = :full_name")


@router.get("", responses=problems(404))
async def list_copies(
    request: Request,
    wanted: WantedPage,
    package: Filter = None,
    location: Filter = None,
    status: CopyStatus | None = None,
) -> Page[Copy]:
    """List copies of packages, of the newest package first; `status` only with a package or a location."""
    if status is not None and package is None and location is None:
        raise ProblemError(422, "status alone is too much to look through: give a package or a location with it.")

    def ask(connection: Connection) -> Page[Copy]:
        with not_found():
            of_package = None if package is None else find_package(connection, package)
        at = None if location is None else connection.execute(LOCATION, {"full_name": location}).scalar()
        if location is not None and at is None:
            raise ProblemError(404, f"There is no location {location!r} in ops-db.")
        where = [
            ("c.raw_data_package_id is not null and :value", True),
            ("c.raw_data_package_id = :value", of_package),
            ("c.data_location_id = :value", at),
            ("c.status = :value", status),
        ]
        return COPIES.page(connection, wanted, where=where)

    return await services_of(request).ops_db.read(ask)
