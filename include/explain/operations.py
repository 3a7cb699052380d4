"""Operations and their attempts, as people want to read them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from include.errors import BadInputError
from include.ops_db.states import WorkStatus

ABOUT = text(
    """
    select o.id, o.kind, l.full_name as location, o.status, o.explanation, o.not_before, o.lease_owner,
      o.lease_expires_at, o.attempt_count, o.created_at, o.finished_at, o.size_bytes, o.data_transfer_id,
      o.data_transfer_package_id, o.raw_data_package_id,
      coalesce(p.name, 'observation ' || f.executed_obs_unit_id, 'data_transfer ' || o.data_transfer_id,
        'data_transfer_package ' || o.data_transfer_package_id, 'filing ' || o.filing_id) as subject
    from operation_ever o
    join data_location l on l.id = o.data_location_id
    left join physical_copy c on c.id = o.physical_copy_id
    left join raw_data_package p on p.id = coalesce(o.raw_data_package_id, c.raw_data_package_id)
    left join filing f on f.id = o.filing_id
    where o.id = any(:ids)
    order by o.id
    """
)

ATTEMPTS = text(
    """
    select operation_id, number, started_at, finished_at, outcome, host, pid, queue, dag_id, run_id, task_id,
      map_index, try_number, person, error_class, error_text, size_bytes, explanation
    from (select *, row_number() over (partition by operation_id order by number desc) as newest
          from operation_attempt where operation_id = any(:ids)) a
    where newest <= :most
    order by operation_id, number
    """
)

PACKAGES_OF = text(
    """
    select p.name from raw_data_package p join data_transfer_package_member m on m.raw_data_package_id = p.id
    where m.data_transfer_package_id = coalesce(
      :bundle_id, (select data_transfer_package_id from data_transfer where id = :transfer_id))
    order by p.id limit :most
    """
)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try."""

    number: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    """None: it runs."""
    host: str | None
    pid: int | None
    task: str | None
    """`dag/run/task/map index`, where Airflow did it."""
    try_number: int | None
    person: str | None
    error_class: str | None
    error_text: str | None
    size_bytes: int
    explanation: str | None


@dataclass(frozen=True, kw_only=True)
class ExplainedOperation:
    """One operation with its newest attempts, oldest first."""

    id: int
    kind: str
    location: str
    subject: str
    status: WorkStatus
    explanation: str
    not_before: datetime | None
    lease_owner: str | None
    lease_expires_at: datetime | None
    attempt_count: int
    created_at: datetime
    finished_at: datetime | None
    size_bytes: int
    data_transfer_id: int | None
    data_transfer_package_id: int | None
    raw_data_package_id: int | None
    attempts: tuple[Attempt, ...]

    @property
    def is_live(self) -> bool:
        """Tell whether something is still to be done."""
        return self.status not in {WorkStatus.COMPLETED, WorkStatus.CANCELLED}


def explain_operations(
    connection: Connection, ids: Sequence[int], *, attempts_at_most: int = 3
) -> tuple[ExplainedOperation, ...]:
    """Return operations by id, with their newest attempts; two statements."""
    attempts = defaultdict(list)
    for row in connection.execute(ATTEMPTS, {"ids": list(ids), "most": attempts_at_most}).mappings():
        task = None if row["dag_id"] is None else f"{row['dag_id']}/{row['run_id']}/{row['task_id']}/{row['map_index']}"
        fields = {key: row[key] for key in row if key in Attempt.__dataclass_fields__}
        attempts[row["operation_id"]].append(Attempt(**fields, task=task))
    return tuple(
        ExplainedOperation(
            **{key: row[key] for key in row if key in ExplainedOperation.__dataclass_fields__ and key != "status"},
            status=WorkStatus(row["status"]),
            attempts=tuple(attempts[row["id"]]),
        )
        for row in connection.execute(ABOUT, {"ids": list(ids)}).mappings()
    )


def explain_operation(connection: Connection, operation_id: int) -> ExplainedOperation:
    """Return one operation with its last twenty attempts.

    Raises:
        BadInputError: there is none.
    """
    found = explain_operations(connection, [operation_id], attempts_at_most=20)
    if not found:
        raise BadInputError(
            f"There is no operation {operation_id} in ops-db. (A package by its number: package:{operation_id}.)"
        )
    return found[0]


def packages_of(connection: Connection, operation: ExplainedOperation, *, most: int = 20) -> list[str]:
    """Return names of the packages in the bundle or transfer that an operation is about; none for other kinds."""
    values = {"bundle_id": operation.data_transfer_package_id, "transfer_id": operation.data_transfer_id, "most": most}
    return list(connection.execute(PACKAGES_OF, values).scalars())
