"""One package: where it is, why, what comes next; its life with every attempt; its copies; the files in it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, text
from starlette.responses import Response

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.etags import answered
from include.api.paging import Listing, Page, WantedPage, words
from include.api.problems import not_found
from include.api.routes.packages import PackageName
from include.api.services import services_of
from include.explain.find import find_package
from include.explain.history import events_of
from include.explain.keeping import what_keeps
from include.explain.next_step import what_comes_next, where
from include.explain.packages import ExplainedPackage, explain_package
from include.ops_db.states import AttemptOutcome, CopyStatus, PackageState, WorkStatus
from include.ops_db.urgency import why_urgent
from include.topology import OperationKind, Topology

router = APIRouter(prefix="/packages", tags=["page"])

ATTEMPTS_MOST = 500
"""The newest ones."""


class Event(BaseModel):
    """Something that happened to it."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    what: str
    place: str
    said: str
    by: str | None
    run_id: str | None


class Attempt(BaseModel):
    """A try at one of its operations, and where Airflow keeps its log."""

    operation: int
    kind: OperationKind
    location: str
    number: int
    started_at: datetime
    finished_at: datetime | None
    outcome: AttemptOutcome | None
    """None: it runs."""
    host: str | None
    person: str | None
    error_class: str | None
    said: str | None
    size_bytes: int
    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int | None
    try_number: int | None


class LiveOperation(BaseModel):
    """Something that is still to be done."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    kind: OperationKind
    location: str
    status: WorkStatus
    explanation: str
    not_before: datetime | None
    lease_owner: str | None


class CopiesThere(BaseModel):
    """Copies at a location in one state: many files at a SOURCE, else the package."""

    model_config = ConfigDict(from_attributes=True)

    location: str
    location_type: str
    status: CopyStatus
    count: int
    size_bytes: int
    verified_count: int
    verified_at: datetime | None
    deleted_at: datetime | None
    path: str


class Pin(BaseModel):
    """Somebody wants it to stay."""

    id: int
    pinned_by: str
    reason: str
    until: datetime | None
    location: str | None


class Flag(BaseModel):
    """Somebody wants its observation to overtake others."""

    flagged_at: datetime
    flagged_by: str | None
    reason: str | None


class Life(BaseModel):
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
    archived_at: datetime | None
    where: str
    next: list[str]
    """Why it is where it is, and what comes next."""
    keeping: list[str]
    """What the deletion gate says at each location."""
    urgent: list[str]
    """Why it overtakes others."""
    flag: Flag | None
    pins: list[Pin]
    operations: list[LiveOperation]
    copies: list[CopiesThere]
    events: list[Event]
    attempts: list[Attempt]


class Member(BaseModel):
    """A file in a package."""

    id: UUID
    path: str
    size_bytes: int
    checksum: str | None
    offset_bytes: int | None
    """Where its content begins in the tar; None: the package is not made yet."""


ATTEMPTS = text(
    """
    select a.operation_id as operation, o.kind, l.full_name as location, a.number, a.started_at, a.finished_at,
      a.outcome, a.host, a.person, a.error_class, coalesce(a.error_text, a.explanation) as said, a.size_bytes,
      a.dag_id, a.run_id, a.task_id, a.map_index, a.try_number
    from operation_attempt a join operation_ever o on o.id = a.operation_id
    join data_location l on l.id = o.data_location_id
    where a.operation_id = any(:operations) order by a.started_at desc, a.number desc limit :most
    """
)
PINS = text(
    """
    select pin.id, pin.pinned_by, pin.reason, pin.until, l.full_name as location
    from pin left join data_location l on l.id = pin.data_location_id
    where (pin.raw_data_package_id = :package or pin.executed_obs_unit_id = :observation)
      and pin.released_at is null and (pin.until is null or pin.until > now()) order by pin.id
    """
)
FLAG = text(
    """
    select flagged_at, flagged_by, flag_reason as reason from executed_obs_unit
    where id = :observation and flagged_at is not null
    """
)
MEMBERS = Listing(
    model=Member,
    query="select f.id, f.path, f.size_bytes, f.checksum, f.offset_bytes, f.path as key_0 from raw_data_file f",
    keys=(("f.path", words),),
    newest_first=False,
)


@router.get("/{package}/life", response_model=Life, responses=problems(404), dependencies=[may(Action.READ_HISTORY)])
async def life(request: Request, package: PackageName) -> Response:
    """Tell all that is known about a package."""
    services = services_of(request)

    def ask(connection: Connection) -> Life:
        with not_found():
            found = find_package(connection, package)
        return _life(connection, explain_package(connection, found), services.topology())

    return answered(request, await services.ops_db.read(ask))


@router.get("/{package}/members", responses=problems(404), dependencies=[may(Action.READ_PACKAGES)])
async def members(request: Request, package: PackageName, wanted: WantedPage) -> Page[Member]:
    """List the files in a package by path, each with its place in the tar."""

    def ask(connection: Connection) -> Page[Member]:
        with not_found():
            found = find_package(connection, package)
        return MEMBERS.page(connection, wanted, where=[("f.raw_data_package_id = :value", found)])

    return await services_of(request).ops_db.read(ask)


def _life(connection: Connection, package: ExplainedPackage, topology: Topology) -> Life:
    values: dict[str, Any] = {"package": package.id, "observation": package.observation}
    about = {"operations": [operation.id for operation in package.operations], "most": ATTEMPTS_MOST}
    flag = connection.execute(FLAG, values).mappings().one_or_none()
    return Life(
        **{name: getattr(package, name) for name in ExplainedPackage.__dataclass_fields__ if name in _PLAIN},
        where=where(package),
        next=list(what_comes_next(package, topology.policy)),
        urgent=why_urgent(connection, [package.id]),
        flag=Flag.model_validate(dict(flag)) if flag else None,
        pins=[Pin.model_validate(dict(row)) for row in connection.execute(PINS, values).mappings()],
        operations=[LiveOperation.model_validate(operation) for operation in package.live_operations],
        copies=[CopiesThere.model_validate(copies) for copies in package.copies],
        events=[Event.model_validate(event) for event in events_of(connection, [package.id])],
        attempts=[Attempt.model_validate(dict(row)) for row in connection.execute(ATTEMPTS, about).mappings()],
        # The last one: the gate's locks are held from then on.
        keeping=[keeping.sentence for keeping in what_keeps(connection, package, topology)],
    )


_PLAIN = frozenset(Life.model_fields) - {"copies", "operations"}
