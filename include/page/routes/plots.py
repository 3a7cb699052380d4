"""Numbers over time, for plots and as CSV: archived a day, latency, use of the links, levels of the locations."""

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from sqlalchemy import TextClause, text
from starlette.responses import Response

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.services import services_of

router = APIRouter(prefix="/plots", tags=["page"], dependencies=[may(Action.READ_PLACES)])

ARCHIVED = text(
    """
    select date_trunc('day', p.archived_at) as at, i.name as instrument,
      sum(coalesce(p.size_bytes, p.content_bytes))::bigint as value
    from raw_data_package p join instrument_module m on m.id = p.instrument_module_id
    join instrument i on i.id = m.instrument_id
    where p.archived_at >= date_trunc('day', now()) - make_interval(days => :days - 1)
    group by 1, 2 order by 1, 2
    """
)

# One file stands for its package: they are filed together, and a package has thousands.
LATENCY = text(
    """
    select date_trunc('day', p.archived_at) as at, series.name,
      (percentile_cont(series.part) within group
        (order by extract(epoch from p.archived_at - coalesce(f.filed_at, p.created_at))))::float as value
    from (values ('median', 0.5), ('90 %', 0.9), ('99 %', 0.99)) as series(name, part)
    cross join raw_data_package p
    left join lateral (select least(filed_at, p.created_at) as filed_at from raw_data_file
      where raw_data_package_id = p.id order by path limit 1) f on true
    where p.archived_at >= date_trunc('day', now()) - make_interval(days => :days - 1)
    group by 1, 2, series.part order by 1, series.part
    """
)

# What a transfer moved is spread evenly over the time that its last try took.
LINKS = text(
    """
    with buckets as (
      select generate_series(date_bin('15 minutes', now(), '2000-01-01') - make_interval(days => :days),
        date_bin('15 minutes', now(), '2000-01-01'), interval '15 minutes') as at
    ), moved as (
      select origin.full_name || ' to ' || destination.full_name as name, o.size_bytes,
        least(a.started_at, o.finished_at - interval '1 second') as began, o.finished_at as ended
      from data_location l
      join operation o on o.data_location_id = l.id and o.kind = 'transfer' and o.status = 'completed'
        and o.finished_at > now() - make_interval(days => :days)
      join data_transfer t on t.id = o.data_transfer_id
      join data_location origin on origin.id = t.origin_location_id
      join data_location destination on destination.id = t.destination_location_id
      cross join lateral (select started_at from operation_attempt a where a.operation_id = o.id
        order by a.number desc limit 1) a
    )
    select b.at, m.name, (sum(m.size_bytes
      * extract(epoch from least(m.ended, b.at + interval '15 minutes') - greatest(m.began, b.at))
      / extract(epoch from m.ended - m.began)) / 900)::float as value
    from buckets b join moved m on m.began < b.at + interval '15 minutes' and m.ended > b.at
    group by 1, 2 order by 1, 2
    """
)

LEVELS = text(
    """
    select date_bin('15 minutes', m.measured_at, '2000-01-01') as at, l.full_name as name,
      (max(m.used_bytes)::float / max(m.total_bytes) * 100)::float as value
    from location_measurement m join data_location l on l.id = m.data_location_id
    where m.measured_at > now() - make_interval(days => :days) and m.used_bytes is not null and m.total_bytes > 0
      and l.active and l.location_type <> 'long_term_archive'
    group by 1, 2 order by 1, 2
    """
)

Days = Annotated[int, Query(ge=1, le=366, description="So many days, today included.")]
Format = Annotated[Literal["json", "csv"], Query(description="json, or csv to go on with elsewhere.")]


class Line(BaseModel):
    """A line of a plot: a value for each moment; None: there is none."""

    name: str
    values: list[float | None]


class Plot(BaseModel):
    """Lines over the same moments."""

    unit: Literal["bytes", "seconds", "bytes/second", "percent"]
    at: list[int]
    """Seconds since 1970."""
    lines: list[Line]


CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}}}


@router.get("/archived", response_model=Plot, responses=problems() | CSV)
async def archived(request: Request, days: Days = 30, format: Format = "json") -> Response:  # noqa: A002 - as in the URL
    """Bytes that came into their first archive, by day and instrument."""
    return await _plot(request, ARCHIVED, days=days, form=format, unit="bytes", missing=0.0)


@router.get("/latency", response_model=Plot, responses=problems() | CSV)
async def latency(request: Request, days: Days = 30, format: Format = "json") -> Response:  # noqa: A002 - the same
    """Seconds from the filing of a package's files to its first archive, by day: percentiles over packages."""
    return await _plot(request, LATENCY, days=days, form=format, unit="seconds", missing=None)


@router.get("/links", response_model=Plot, responses=problems() | CSV)
async def links(request: Request, days: Days = 1, format: Format = "json") -> Response:  # noqa: A002 - the same
    """Bytes a second on each route, by quarter of an hour."""
    return await _plot(request, LINKS, days=days, form=format, unit="bytes/second", missing=0.0)


@router.get("/levels", response_model=Plot, responses=problems() | CSV)
async def levels(request: Request, days: Days = 2, format: Format = "json") -> Response:  # noqa: A002 - the same
    """How full each location was, in percent."""
    return await _plot(request, LEVELS, days=days, form=format, unit="percent", missing=None)


async def _plot(
    request: Request, query: TextClause, *, days: int, form: str, unit: Any, missing: float | None
) -> Response:
    rows = await services_of(request).ops_db.read(
        lambda connection: [tuple(row) for row in connection.execute(query, {"days": days})]
    )
    if form == "csv":
        return _csv(rows, name=request.url.path.rsplit("/", 1)[-1], unit=unit)
    moments = sorted({int(at.timestamp()) for at, _, _ in rows})
    values: dict[str, dict[int, float]] = {}
    for at, name, value in rows:
        values.setdefault(name, {})[int(at.timestamp())] = float(value)
    lines = [Line(name=name, values=[found.get(at, missing) for at in moments]) for name, found in values.items()]
    plot = Plot(unit=unit, at=moments, lines=lines)
    return Response(
        plot.model_dump_json(), media_type="application/json", headers={"Cache-Control": "private, max-age=60"}
    )


def _csv(rows: Sequence[tuple[Any, ...]], *, name: str, unit: str) -> Response:
    content = io.StringIO()
    writer = csv.writer(content)
    writer.writerow(("at (UTC)", "of", unit))
    writer.writerows((f"{at:%Y-%m-%dT%H:%M:%SZ}", of, value) for at, of, value in rows)
    return Response(
        content.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )
