"""Deletion that a person asks for: operations at once, before policy's turn; the brake and the gate decide.

Who asked, and why, stays in `deletion_request`; the deletion records say that it was this person.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle.brake import At, Going, Judged, go_by_this_policy, hold_back
from include.lifecycle.preview import Preview
from include.operations.planning import NewOperation, want
from include.operations.record import RESET
from include.ops_db.places import location_id, require_applied
from include.topology import DataLocation, OperationKind, Topology

REQUEST = text(
    """
    insert into deletion_request (raw_data_package_id, data_location_id, requested_by, reason)
    select unnest(cast(:packages as bigint[])), :here, :person, :reason
    """
)

# Of whose deletion is this? The newest request counts until a deletion came of it.
REQUESTED_BY = text(
    """
    select r.requested_by from deletion_request r
    where r.raw_data_package_id = :package and r.data_location_id = :here
      and not exists (select from deletion_record d where d.raw_data_package_id = r.raw_data_package_id
        and d.data_location_id = r.data_location_id and d.recorded_at > r.requested_at and d.operation_id <> :operation)
    order by r.id desc limit 1
    """
)

FAILED = text(
    """
    select id from operation where kind = 'deletion' and data_location_id = :here and status = 'failed'
      and raw_data_package_id = any(:packages)
    """
)

LANE = text("select pg_advisory_xact_lock(hashtext('lane ' || :name))")


def request_deletion(
    session: Session, *, topology: Topology, location: DataLocation, wished: Sequence[Preview], person: str, reason: str
) -> Judged:
    """Make operations for these packages at a location, as far as the brake allows; ask about the others.

    What had failed is tried again.

    Raises:
        TopologyError: `topology` is not the applied one, or ops-db does not know the location.
    """
    # As a plan of the lane does: two that ask at once must not both pass the brake.
    session.execute(LANE, {"name": f"{location.full_name}_{OperationKind.DELETION}"})
    require_applied(session, topology)
    here = location_id(session, location.full_name)
    found = [Going(id=row.raw_data_package_id, copies=row.copies, size_bytes=row.size_bytes) for row in wished]
    values = {"packages": [row.id for row in found], "here": here, "person": person, "reason": reason}
    session.execute(REQUEST, values)
    at = At(session=session, topology=topology, location=location, data_location_id=here)
    go_by_this_policy(at)
    judged = hold_back(at, found, requested_by=person, run_id=None)
    want(
        session,
        kind=OperationKind.DELETION,
        data_location_id=here,
        operations=[
            NewOperation(subject_id=row.id, explanation=f"{person} asked for it; the gate decides just before it goes.")
            for row in found
            if row.id in judged.may_go
        ],
    )
    failed = list(session.execute(FAILED, {"here": here, "packages": list(judged.may_go)}).scalars())
    session.execute(RESET, {"operation_ids": failed, "person": person, "reason": reason})
    return judged


def requested_by(session: Session, *, package: int, here: int, operation: int) -> str | None:
    """Return the person on whose request this operation deletes; None: it follows from policy."""
    values = {"package": package, "here": here, "operation": operation}
    found: str | None = session.execute(REQUESTED_BY, values).scalar()
    return found
