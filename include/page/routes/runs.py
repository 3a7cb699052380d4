"""What an Airflow run did: the operations that it planned or tried."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from sqlalchemy import text

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.parameters import WITHOUT_NUL
from include.api.services import services_of
from include.ops_db.states import AttemptOutcome, WorkStatus
from include.topology import OperationKind

router = APIRouter(prefix="/runs", tags=["page"])

MOST = 1000

TOUCHED = text(
    """
    with touched as (
      select a.operation_id as id, max(a.number) as number from operation_attempt a
      where a.run_id = :run_id and a.dag_id = :dag_id group by a.operation_id
      union
      select o.id, null from operation o
      where o.planned_run_id = :run_id and o.kind = :dag_id and o.status in ('scheduled', 'in_progress')
    ), each as (select id, max(number) as number from touched group by id order by id limit :most)
    select o.id as operation, o.kind, l.full_name as location, o.status, o.explanation,
      coalesce(p.name, 'observation ' || f.executed_obs_unit_id, 'transfer ' || o.data_transfer_id,
        'bundle ' || o.data_transfer_package_id, 'filing ' || o.filing_id) as subject,
      p.name as package, a.number, a.started_at, a.finished_at, a.outcome, a.host, a.size_bytes, a.task_id, a.map_index,
      a.try_number, coalesce(a.error_text, a.explanation) as said
    from each join operation_ever o on o.id = each.id
    join data_location l on l.id = o.data_location_id
    left join physical_copy c on c.id = o.physical_copy_id
    left join raw_data_package p on p.id = coalesce(o.raw_data_package_id, c.raw_data_package_id)
    left join filing f on f.id = o.filing_id
    left join operation_attempt a on a.operation_id = o.id and a.number = each.number
    order by a.outcome in ('permanent', 'integrity') desc nulls last, o.id
    """
)


class Touched(BaseModel):
    """An operation that a run planned or tried, with its last try there."""

    operation: int
    kind: OperationKind
    location: str
    status: WorkStatus
    explanation: str
    subject: str
    package: str | None
    number: int | None
    """None: it has not been tried yet."""
    started_at: datetime | None
    finished_at: datetime | None
    outcome: AttemptOutcome | None
    host: str | None
    size_bytes: int | None
    task_id: str | None
    map_index: int | None
    try_number: int | None
    said: str | None


class Run(BaseModel):
    """What a run did."""

    items: list[Touched]
    is_cut: bool
    """There are more."""


Word = Annotated[str, Query(min_length=1, max_length=300, pattern=WITHOUT_NUL)]


@router.get("", responses=problems(), dependencies=[may(Action.READ_HISTORY)])
async def run(request: Request, dag_id: Word, run_id: Word) -> Run:
    """List the operations that an Airflow run planned or tried."""
    values = {"dag_id": dag_id, "run_id": run_id, "most": MOST + 1}
    items = await services_of(request).ops_db.read(
        lambda connection: [Touched.model_validate(dict(row)) for row in connection.execute(TOUCHED, values).mappings()]
    )
    return Run(items=items[:MOST], is_cut=len(items) > MOST)
