"""DataTransfers from site to site."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import Connection, text
from starlette.responses import Response

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.etags import answered
from include.api.paging import Listing, Page, WantedPage, whole_number
from include.api.parameters import Number
from include.api.problems import ProblemError
from include.api.services import services_of
from include.ops_db.states import WorkStatus

router = APIRouter(prefix="/transfers", tags=["transfers"], dependencies=[may(Action.READ_TRANSFERS)])


class Transfer(BaseModel):
    """The move of a bundle of packages; transfer and unpacking are recorded apart."""

    id: int
    origin: str
    destination: str
    is_primary: bool
    """True for the one transfer out of the observatory."""
    transfer_status: WorkStatus
    unpacking_status: WorkStatus
    package_count: int
    size_bytes: int
    created_at: datetime
    transferred_at: datetime | None
    unpacked_at: datetime | None


QUERY = """
select t.id, origin.full_name as origin, destination.full_name as destination, b.is_primary, t.transfer_status,
  t.unpacking_status, s.package_count, s.size_bytes, t.created_at, t.transferred_at, t.unpacked_at, t.id as key_0
from data_transfer t
join data_transfer_package b on b.id = t.data_transfer_package_id
join data_location origin on origin.id = t.origin_location_id
join data_location destination on destination.id = t.destination_location_id
cross join lateral (
  select count(*) as package_count, coalesce(sum(p.size_bytes), 0)::bigint as size_bytes
  from data_transfer_package_member m join raw_data_package p on p.id = m.raw_data_package_id
  where m.data_transfer_package_id = b.id
) s
"""
TRANSFERS = Listing(model=Transfer, query=QUERY, keys=(("t.id", whole_number),))


@router.get("", responses=problems())
async def list_transfers(request: Request, wanted: WantedPage, status: WorkStatus | None = None) -> Page[Transfer]:
    """List transfers, the newest first; `status` is that of the transfer itself."""
    where = [("t.transfer_status = :value", status)]
    return await services_of(request).ops_db.read(lambda connection: TRANSFERS.page(connection, wanted, where=where))


@router.get("/{transfer}", response_model=Transfer, responses=problems(404))
async def get_transfer(request: Request, transfer: Number) -> Response:
    """Return a transfer."""

    def ask(connection: Connection) -> Transfer:
        row = connection.execute(text(f"{QUERY} where t.id = :id"), {"id": transfer}).mappings().one_or_none()
        if row is None:
            raise ProblemError(404, f"There is no transfer {transfer} in ops-db.")
        return Transfer.model_validate(dict(row))

    return answered(request, await services_of(request).ops_db.read(ask))
