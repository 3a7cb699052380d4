"""What to call operations in Airflow's UI, and which of them are done."""

from collections.abc import Sequence

from sqlalchemy import Engine, text

LABELS = text(
    """
    select coalesce(p.name,
      'transfer ' || o.data_transfer_id, 'bundle ' || o.data_transfer_package_id,
      'observation ' || f.executed_obs_unit_id, o.kind || ' ' || o.id) as label
    from operation o
    left join physical_copy c on c.id = o.physical_copy_id
    left join raw_data_package p on p.id = coalesce(o.raw_data_package_id, c.raw_data_package_id)
    left join filing f on f.id = o.filing_id
    where o.id = any(:ids) order by o.id
    """
)

ANY_COMPLETED = text("select exists (select from operation where id = any(:ids) and status = 'completed')")


def batch_label(engine: Engine, operation_ids: Sequence[int]) -> str:
    """Name a batch by its first subject: `NAME`, or `NAME and 4 more`."""
    with engine.connect() as connection:
        labels = connection.execute(LABELS, {"ids": list(operation_ids)}).scalars().all()
    if not labels:
        return "nothing"
    return labels[0] if len(labels) == 1 else f"{labels[0]} and {len(labels) - 1} more"


def any_completed(engine: Engine, operation_ids: Sequence[int]) -> bool:
    """Tell whether at least one of the operations is completed."""
    with engine.connect() as connection:
        return bool(connection.execute(ANY_COMPLETED, {"ids": list(operation_ids)}).scalar_one())
