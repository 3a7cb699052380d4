"""A package: where its copies are, what is being done with it, and what comes next."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from include.explain.operations import ExplainedOperation, explain_operations
from include.ops_db.states import BundleState, CopyStatus, PackageState, WorkStatus
from include.topology import LocationType

PACKAGE = text(
    """
    select p.id, p.name, p.state, p.executed_obs_unit_id as observation, i.name as instrument, m.name as module,
      p.number, p.file_count, p.content_bytes, p.size_bytes, p.checksum, l.full_name as source, p.created_at,
      p.packaged_at, p.archived_at
    from raw_data_package p
    join instrument_module m on m.id = p.instrument_module_id
    join instrument i on i.id = m.instrument_id
    join data_location l on l.id = p.source_location_id
    where p.id = :package_id
    """
)

COPIES = text(
    """
    select l.full_name as location, l.site, l.location_type, c.status, c.wanted, count(*) as count,
      sum(c.size_bytes)::bigint as size_bytes,
      min(c.verified_at) as verified_at, count(c.verified_at) as verified_count, max(c.deleted_at) as deleted_at,
      (array_agg(c.path order by c.id))[1] as path, c.raw_data_package_id is not null as is_package
    from physical_copy c join data_location l on l.id = c.data_location_id
    where c.raw_data_package_id = :package_id
      or c.raw_data_file_id in (select id from raw_data_file where raw_data_package_id = :package_id)
    group by l.id, c.status, c.wanted, c.raw_data_package_id is not null
    order by min(c.created_at), min(c.id)
    """
)

OPERATIONS = text(
    """
    select o.id from operation_ever o where o.raw_data_package_id = :package_id
    union select o.id from operation_ever o join physical_copy c on c.id = o.physical_copy_id
      where c.raw_data_package_id = :package_id
    union select o.id from operation_ever o join data_transfer_package_member m using (data_transfer_package_id)
      where m.raw_data_package_id = :package_id
    union select o.id from operation_ever o join data_transfer t on t.id = o.data_transfer_id
      join data_transfer_package_member m on m.data_transfer_package_id = t.data_transfer_package_id
      where m.raw_data_package_id = :package_id
    order by id
    """
)

ROUTES = text(
    """
    select b.id as bundle_id, t.id as transfer_id, origin.full_name as origin, destination.full_name as destination,
      b.is_primary, b.state as bundle_state, b.closes_at, t.transfer_status, t.unpacking_status
    from data_transfer_package_member m
    join data_transfer_package b on b.id = m.data_transfer_package_id
    join data_location origin on origin.id = b.origin_location_id
    join data_location destination on destination.id = b.destination_location_id
    left join data_transfer t on t.data_transfer_package_id = b.id
    where m.raw_data_package_id = :package_id order by b.id
    """
)

STAGING = text(
    """
    select j.id, l.full_name as location, j.until, j.requested_by, j.reason
    from staging_job j join staging_job_package p on p.staging_job_id = j.id
    join data_location l on l.id = j.data_location_id
    where p.raw_data_package_id = :package_id and j.state = 'active' and j.until > now() order by j.until
    """
)

GONE = frozenset({CopyStatus.DELETED, CopyStatus.MISSING, CopyStatus.CORRUPT})


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Copies at one location that are in one state: many files at a SOURCE, else the one package."""

    location: str
    site: str
    location_type: LocationType
    status: CopyStatus
    wanted: bool
    count: int
    verified_count: int
    size_bytes: int
    verified_at: datetime | None
    """Of the one that was verified longest ago."""
    deleted_at: datetime | None
    path: str
    is_package: bool

    @property
    def is_verified_archive(self) -> bool:
        """Tell whether it counts as safe."""
        archive = self.location_type is LocationType.LONG_TERM_ARCHIVE
        return archive and self.status is CopyStatus.PRESENT and self.verified_at is not None

    @property
    def is_there(self) -> bool:
        """Tell whether there are bytes."""
        return self.status not in GONE


@dataclass(frozen=True, kw_only=True)
class Route:
    """A bundle that the package is in, and its transfer once it is closed."""

    bundle_id: int
    transfer_id: int | None
    origin: str
    destination: str
    is_primary: bool
    bundle_state: BundleState
    closes_at: datetime
    transfer_status: WorkStatus | None
    unpacking_status: WorkStatus | None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """An active StagingJob."""

    id: int
    location: str
    until: datetime
    requested_by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ExplainedPackage:
    """All that is known about a package. Sizes in bytes."""

    id: int
    name: str
    state: PackageState
    observation: UUID
    instrument: str
    module: str
    number: int
    file_count: int
    content_bytes: int
    size_bytes: int | None
    checksum: str | None
    source: str
    created_at: datetime
    packaged_at: datetime | None
    archived_at: datetime | None
    copies: tuple[Copies, ...]
    routes: tuple[Route, ...]
    wishes: tuple[Wish, ...]
    operations: tuple[ExplainedOperation, ...]

    @property
    def live_operations(self) -> tuple[ExplainedOperation, ...]:
        """What is still to be done; failed ones first."""
        live = [operation for operation in self.operations if operation.is_live]
        return tuple(sorted(live, key=lambda operation: (operation.status is not WorkStatus.FAILED, operation.id)))


def explain_package(connection: Connection, package_id: int) -> ExplainedPackage:
    """Return what is known about a package that exists; seven statements at most."""
    values = {"package_id": package_id}
    row = connection.execute(PACKAGE, values).mappings().one()
    copies = tuple(
        Copies(
            **{key: copy[key] for key in copy if key not in {"location_type", "status"}},
            location_type=LocationType(copy["location_type"]),
            status=CopyStatus(copy["status"]),
        )
        for copy in connection.execute(COPIES, values).mappings()
    )
    return ExplainedPackage(
        **{key: row[key] for key in row if key != "state"},
        state=PackageState(row["state"]),
        copies=copies,
        routes=_routes(connection, package_id),
        wishes=tuple(Wish(**wish) for wish in connection.execute(STAGING, values).mappings()),
        operations=explain_operations(connection, connection.execute(OPERATIONS, values).scalars().all()),
    )


def _routes(connection: Connection, package_id: int) -> tuple[Route, ...]:
    return tuple(
        Route(
            bundle_id=row.bundle_id,
            transfer_id=row.transfer_id,
            origin=row.origin,
            destination=row.destination,
            is_primary=row.is_primary,
            bundle_state=BundleState(row.bundle_state),
            closes_at=row.closes_at,
            transfer_status=WorkStatus(row.transfer_status) if row.transfer_status else None,
            unpacking_status=WorkStatus(row.unpacking_status) if row.unpacking_status else None,
        )
        for row in connection.execute(ROUTES, {"package_id": package_id})
    )
