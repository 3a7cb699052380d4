"""RawDataPackages, and the files in them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from sqlalchemy import Connection, text
from starlette.responses import Response

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.etags import answered
from include.api.paging import Listing, Page, WantedPage, whole_number, words
from include.api.parameters import WITHOUT_NUL
from include.api.problems import not_found
from include.api.services import services_of
from include.explain.find import find_package
from include.ops_db.states import PackageState

router = APIRouter(prefix="/packages", tags=["packages"], dependencies=[may(Action.READ_PACKAGES)])

PackageName = Annotated[
    str,
    Path(
        max_length=300,
        pattern=WITHOUT_NUL,
        description="Its name, or `package:` and its number.",
        examples=["package:7"],
    ),
]


class Package(BaseModel):
    """A tar of files of one observation and module. Sizes in bytes."""

    id: int
    name: str
    state: PackageState
    observation: UUID
    instrument: str
    instrument_module: str
    number: int
    source: str
    file_count: int
    content_bytes: int
    size_bytes: int | None
    checksum: str | None
    created_at: datetime
    packaged_at: datetime | None
    archived_at: datetime | None


class PackagedFile(BaseModel):
    """A file as it was filed."""

    id: UUID
    path: str
    size_bytes: int
    checksum: str | None
    filed_at: datetime
    package: str | None
    """None: it waits to be packaged."""


QUERY = """
select p.id, p.name, p.state, p.executed_obs_unit_id as observation, i.name as instrument,
  m.name as instrument_module, p.number, l.full_name as source, p.file_count, p.content_bytes, p.size_bytes,
  p.checksum, p.created_at, p.packaged_at, p.archived_at, p.id as key_0
from raw_data_package p
join instrument_module m on m.id = p.instrument_module_id
join instrument i on i.id = m.instrument_id
join data_location l on l.id = p.source_location_id
"""
PACKAGES = Listing(model=Package, query=QUERY, keys=(("p.id", whole_number),))
FILES = Listing(
    model=PackagedFile,
    query="""
    select f.id, f.path, f.size_bytes, f.checksum, f.filed_at, p.name as package, f.path as key_0
    from raw_data_file f left join raw_data_package p on p.id = f.raw_data_package_id
    """,
    keys=(("f.path", words),),
    newest_first=False,
)


@router.get("", responses=problems())
async def list_packages(
    request: Request, wanted: WantedPage, observation: UUID | None = None, state: PackageState | None = None
) -> Page[Package]:
    """List packages, the newest first."""
    where = [("p.executed_obs_unit_id = :value", observation), ("p.state = :value", state)]
    return await services_of(request).ops_db.read(lambda connection: PACKAGES.page(connection, wanted, where=where))


@router.get("/{package}", response_model=Package, responses=problems(404))
async def get_package(request: Request, package: PackageName) -> Response:
    """Return a package."""

    def ask(connection: Connection) -> Package:
        with not_found():
            found = find_package(connection, package)
        row = connection.execute(text(f"{QUERY} where p.id = :id"), {"id": found}).mappings().one()
        return Package.model_validate(dict(row))

    return answered(request, await services_of(request).ops_db.read(ask))


@router.get("/{package}/files", responses=problems(404))
async def list_files(request: Request, package: PackageName, wanted: WantedPage) -> Page[PackagedFile]:
    """List the files in a package, by path."""

    def ask(connection: Connection) -> Page[PackagedFile]:
        with not_found():
            found = find_package(connection, package)
        return FILES.page(connection, wanted, where=[("f.raw_data_package_id = :value", found)])

    return await services_of(request).ops_db.read(ask)
