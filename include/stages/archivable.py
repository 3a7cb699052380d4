"""What goes into a long-term archive, and where it is read: see `archiving.py`.

From a buffer of the site, or by a direct route; what no buffer can send any more from another archive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.integrity.manifest import PackageManifest
from include.lifecycle.repair import other_archive
from include.lifecycle.sources import ArchiveCopy
from include.operations.stage import Planning, Work
from include.ops_db.manifests import load_manifest
from include.routes import MovedBy
from include.topology import Topology

# What was made at a site is not read back there: every block of it is compared while it is read for the archive.
VERIFIED_IN_BUFFER = """
c.raw_data_package_id = p.id and c.status = 'present' and c.checksum = p.checksum and l.active and (
  (l.site = :site and l.location_type = 'buffer' and c.verified_at is not null)
  or (l.full_name = any(:direct) and (c.verified_at is not null or exists (select from data_location made
    where made.id = p.source_location_id and made.site = l.site))))
"""

WAITING = text(
    f"""
    select p.id, p.size_bytes, min(l.full_name) as buffer
    from raw_data_package p, physical_copy c join data_location l on l.id = c.data_location_id
    where {VERIFIED_IN_BUFFER}
      and not exists (select from physical_copy here where here.raw_data_package_id = p.id
        and here.data_location_id = :here and here.status not in ('corrupt', 'missing'))
      and not exists (select from operation o where o.raw_data_package_id = p.id and o.kind = 'archiving'
        and o.data_location_id = :here and o.status not in ('completed', 'cancelled'))
    group by p.id, p.size_bytes order by p.id limit :most
    """  # noqa: S608 - put together from constants of this file
)

PACKAGE = text(
    """
    select p.id, p.path, p.number, p.executed_obs_unit_id, u.started_at, u.finished_at, i.name as instrument,
      m.name as instrument_module,
      exists (select from physical_copy here where here.raw_data_package_id = p.id and here.data_location_id = :here
        and here.status not in ('corrupt', 'missing')) as is_here
    from raw_data_package p
    join executed_obs_unit u on u.id = p.executed_obs_unit_id
    join instrument_module m on m.id = p.instrument_module_id
    join instrument i on i.id = m.instrument_id
    where p.id = :package
    """
)

SOURCE = text(
    f"""
    select c.data_location_id, c.path, l.full_name
    from raw_data_package p, physical_copy c join data_location l on l.id = c.data_location_id
    where p.id = :package and {VERIFIED_IN_BUFFER}
    order by l.site <> :site, l.priority, l.id limit 1
    """  # noqa: S608 - the same
)


@dataclass(frozen=True, kw_only=True)
class PackageSource:
    """A verified copy in a buffer of this site, or (`archived`) in another archive."""

    data_location_id: int | None = None
    archived: ArchiveCopy | None = None
    full_name: str
    path: str


@dataclass(frozen=True, kw_only=True)
class ArchivablePackage:
    """What is to be archived, and from where."""

    id: int
    path: str
    number: int
    observation: UUID
    started_at: datetime
    finished_at: datetime | None
    instrument: str
    instrument_module: str
    is_here: bool
    manifest: PackageManifest
    source: PackageSource | None


def waiting_packages(planning: Planning, *, direct: Sequence[str], most: int) -> Sequence[Row[Any]]:
    """Return (id, size_bytes, buffer) of packages that are verified where this archive takes them from."""
    values = {"here": planning.data_location_id, "site": planning.location.site, "direct": direct, "most": most}
    return planning.session.execute(WAITING, values).all()


def direct_origins(topology: Topology, archive: str) -> list[str]:
    """Full names of the locations from which packages come straight into this archive."""
    routes = (route for route in topology.routes if route.moved_by is MovedBy.DIRECT and route.to_location == archive)
    return [route.from_location for route in routes]


def load(work: Work) -> ArchivablePackage:
    """Return the package of this operation, and the best source of it that there is now."""
    package_id = work.lease.raw_data_package_id
    assert package_id is not None
    values = {
        "package": package_id,
        "here": work.lease.data_location_id,
        "site": work.location.site,
        "direct": direct_origins(work.topology, work.location.full_name),
    }
    with Session(work.engine) as session:
        row = session.execute(PACKAGE, values).one_or_none()
        if row is None:
            raise BadInputError(f"There is no raw_data_package {package_id} in ops-db.")
        source = _source(session, work, values)
        manifest = load_manifest(session, package_id)
    return ArchivablePackage(
        id=row.id,
        path=row.path,
        number=row.number,
        observation=row.executed_obs_unit_id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        instrument=row.instrument,
        instrument_module=row.instrument_module,
        is_here=row.is_here,
        manifest=manifest,
        source=source,
    )


def _source(session: Session, work: Work, values: dict[str, Any]) -> PackageSource | None:
    """The copy in the site's buffer; another archive's if nobody can send the package."""
    found = session.execute(SOURCE, values).one_or_none()
    if found is not None:
        return PackageSource(data_location_id=found.data_location_id, full_name=found.full_name, path=found.path)
    copy = other_archive(session, raw_data_package_id=values["package"], at=work.location, topology=work.topology)
    return None if copy is None else PackageSource(archived=copy, full_name=copy.full_name, path=copy.path)
