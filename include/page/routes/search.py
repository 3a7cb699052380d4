"""Finding packages: by observation, instrument, module, state, date, name, the files in them, or an operation."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.paging import Listing, Page, WantedPage, whole_number
from include.api.parameters import WITHOUT_NUL, Filter
from include.api.services import services_of
from include.explain.find import is_uuid
from include.ops_db.states import PackageState, WorkStatus

router = APIRouter(prefix="/search", tags=["page"], dependencies=[may(Action.READ_PACKAGES)])


class FoundPackage(BaseModel):
    """A package, and what is to be done with it. Sizes in bytes."""

    id: int
    name: str
    state: PackageState
    observation: UUID
    started_at: datetime
    """Of the observation."""
    instrument: str
    module: str
    file_count: int
    size_bytes: int
    created_at: datetime
    archived_at: datetime | None
    is_flagged: bool
    operation: int | None
    """The most urgent thing to be done with it: what failed first."""
    operation_status: WorkStatus | None
    why: str | None


# Only what is shown is looked up further: the newest packages that fit come first, then what is to be done with them.
FOUND = Listing(
    model=FoundPackage,
    query="""
    select p.id, p.name, p.state, p.executed_obs_unit_id as observation, e.started_at, i.name as instrument,
      m.name as module, p.file_count, coalesce(p.size_bytes, p.content_bytes) as size_bytes, p.created_at,
      p.archived_at,
      e.flagged_at is not null as is_flagged, live.id as operation, live.status as operation_status,
      live.explanation as why, p.id as key_0
    from raw_data_package p
    join executed_obs_unit e on e.id = p.executed_obs_unit_id
    join instrument_module m on m.id = p.instrument_module_id
    join instrument i on i.id = m.instrument_id
    left join lateral (
      select o.id, o.status, o.explanation from (
        select * from operation where raw_data_package_id = p.id
        union all
        select o.* from data_transfer_package_member b join data_transfer t using (data_transfer_package_id)
        join operation o on o.data_transfer_id = t.id where b.raw_data_package_id = p.id) o
      where o.status not in ('completed', 'cancelled') and o.kind not in ('deletion', 'scrubbing')
      order by o.status = 'failed' desc, o.failure_count > 0 desc, o.id limit 1) live on true
    """,
    keys=(("p.id", whole_number),),
)

OF_INSTRUMENT = """
p.instrument_module_id in (
  select m.id from instrument_module m join instrument i on i.id = m.instrument_id where i.name = :value)
"""
OF_OPERATION = """
p.id in (
  select raw_data_package_id from operation_ever where id = :value and raw_data_package_id is not null
  union select c.raw_data_package_id from operation_ever o join physical_copy c on c.id = o.physical_copy_id
    where o.id = :value
  union select b.raw_data_package_id from operation_ever o
    join data_transfer_package_member b using (data_transfer_package_id) where o.id = :value
  union select b.raw_data_package_id from operation_ever o join data_transfer t on t.id = o.data_transfer_id
    join data_transfer_package_member b on b.data_transfer_package_id = t.data_transfer_package_id where o.id = :value
  union select r.raw_data_package_id from operation_ever o join raw_data_file r on r.filing_id = o.filing_id
    where o.id = :value)
"""
OF_UUID = """
(p.executed_obs_unit_id = :value or p.id = (select raw_data_package_id from raw_data_file where id = :value))
"""
# The end of a path as it was filed: a file's name, or its name and the folders above it.
OF_FILE = """
p.id in (select raw_data_package_id from raw_data_file where reverse(path) like :value)
"""


@router.get("/packages", responses=problems())
async def search_packages(
    request: Request,
    wanted: WantedPage,
    q: Annotated[
        str | None,
        Query(
            max_length=300,
            pattern=WITHOUT_NUL,
            description="A part of a name, `package:7`, `operation:7`, the UUID of an observation or a file, or the"
            " name or path of a file.",
        ),
    ] = None,
    instrument: Filter = None,
    module: Filter = None,
    state: PackageState | None = None,
    first: Annotated[date | None, Query(description="The observation began on this day (UTC), or later.")] = None,
    last: Annotated[date | None, Query(description="… on this day, or earlier.")] = None,
) -> Page[FoundPackage]:
    """Find packages, the newest first."""
    where = [
        (OF_INSTRUMENT, instrument),
        ("p.instrument_module_id in (select id from instrument_module where name = :value)", module),
        ("p.state = :value", state),
        ("e.started_at >= :value", first and datetime.combine(first, time.min, UTC)),
        ("e.started_at < :value", last and _end_of(last)),
        *_meant(q.strip() if q else ""),
    ]
    return await services_of(request).ops_db.read(lambda connection: FOUND.page(connection, wanted, where=where))


def _meant(word: str) -> list[tuple[str, object]]:
    """Return what a word asks for, as conditions."""
    kind, _, number = word.partition(":")
    if number.isascii() and number.isdecimal() and int(number) < 2**63 and kind in {"operation", "package"}:
        return [(OF_OPERATION if kind == "operation" else "p.id = :value", int(number))]
    if is_uuid(word):
        return [(OF_UUID, UUID(word))]
    if not word:
        return []
    if "/" in word or "." in word:
        return [(OF_FILE, f"{_literally(word[::-1])}%")]
    return [("p.name ilike :value", f"%{_literally(word)}%")]


def _literally(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _end_of(day: date) -> datetime:
    return (
        datetime.combine(day, time.min, UTC) + timedelta(days=1) if day < date.max else datetime.max.replace(tzinfo=UTC)
    )
