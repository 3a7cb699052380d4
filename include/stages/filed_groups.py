"""Files that were filed at a SOURCE and are in no package, by observation and module: what packages are cut from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import cast
from uuid import UUID

from sqlalchemy import text

from include.operations.stage import Planning

GROUPS_A_PLAN = 1000
FILES_A_PLAN = 50_000
"""The rest comes with the next plan. No starvation: of every group that is ready at least one package is cut."""

READY_GROUPS = text(
    """
    select f.executed_obs_unit_id as observation_id, f.instrument_module_id as module_id
    from raw_data_file f join executed_obs_unit o on o.id = f.executed_obs_unit_id
    where f.data_location_id = :here and f.raw_data_package_id is null
    group by f.executed_obs_unit_id, f.instrument_module_id, o.finished_at
    having o.finished_at is not null or count(*) >= :max_files or sum(f.size_bytes) >= :max_bytes
      or min(f.filed_at) <= :waited_since
    order by min(f.filed_at), f.executed_obs_unit_id, f.instrument_module_id
    limit :most
    """
)

# Numbers are given under this lock, for another SOURCE may hold files of the same observation. A filing that holds it
# now rings the bell once it is through.
LOCK_OBSERVATIONS = text(
    """
    select id from executed_obs_unit where id = any(cast(:observation_ids as uuid[]))
    order by id for no key update skip locked
    """
)

GROUPS = text(
    """
    select ready.place, ready.observation_id, ready.module_id, o.started_at, o.finished_at is not null as is_finished,
      i.name as instrument, m.name as module,
      coalesce((
        select max(p.number) from raw_data_package p
        where p.executed_obs_unit_id = ready.observation_id and p.instrument_module_id = ready.module_id
      ), 0) as last_number
    from unnest(cast(:observation_ids as uuid[]), cast(:module_ids as bigint[]))
      with ordinality as ready(observation_id, module_id, place)
    join executed_obs_unit o on o.id = ready.observation_id
    join instrument_module m on m.id = ready.module_id
    join instrument i on i.id = m.instrument_id
    """
)

FILES = text(
    """
    select ready.place, f.id, f.size_bytes, f.filed_at
    from unnest(cast(:observation_ids as uuid[]), cast(:module_ids as bigint[]))
      with ordinality as ready(observation_id, module_id, place)
    join raw_data_file f on f.executed_obs_unit_id = ready.observation_id and f.instrument_module_id = ready.module_id
      and f.data_location_id = :here and f.raw_data_package_id is null
    order by ready.place, f.path collate "C"
    limit :most
    """
)


@dataclass(frozen=True, slots=True)
class FiledFile:
    """A file that is in no package yet."""

    id: UUID
    size_bytes: int
    filed_at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """Files of one observation and module, some of which are ready to be packaged."""

    observation_id: UUID
    module_id: int
    started_at: datetime
    is_finished: bool
    """No more files come."""
    instrument: str
    module: str
    last_number: int
    """Of the packages that it has already; 0: none."""


def ready_groups(planning: Planning, *, waited_since: datetime) -> list[Group]:
    """Observations and modules with something to cut, longest waiting first, their observations locked."""
    session, policy = planning.session, planning.topology.policy
    ready = session.execute(
        READY_GROUPS,
        {
            "here": planning.data_location_id,
            "max_files": policy.package_max_files,
            "max_bytes": policy.package_max_bytes,
            "waited_since": waited_since,
            "most": GROUPS_A_PLAN,
        },
    ).all()
    locked = set(session.scalars(LOCK_OBSERVATIONS, {"observation_ids": [row.observation_id for row in ready]}))
    named = {
        "observation_ids": [row.observation_id for row in ready if row.observation_id in locked],
        "module_ids": [row.module_id for row in ready if row.observation_id in locked],
    }
    found = sorted(session.execute(GROUPS, named).all(), key=lambda row: cast(int, row.place))
    return [
        Group(
            row.observation_id,
            row.module_id,
            row.started_at,
            row.is_finished,
            row.instrument,
            row.module,
            row.last_number,
        )
        for row in found
    ]


def files_of(planning: Planning, groups: Sequence[Group]) -> Iterator[tuple[Group, list[FiledFile], bool]]:
    """Each group with its files by path, and whether more follow that do not come with this plan."""
    if not groups:
        return
    most = max(FILES_A_PLAN, planning.topology.policy.package_max_files)
    values = {
        "observation_ids": [group.observation_id for group in groups],
        "module_ids": [group.module_id for group in groups],
        "here": planning.data_location_id,
        "most": most,
    }
    rows = planning.session.execute(FILES, values).all()
    incomplete_place = rows[-1].place if len(rows) == most else None
    for place, members in groupby(rows, key=lambda row: cast(int, row.place)):
        files = [FiledFile(row.id, row.size_bytes, row.filed_at) for row in members]
        yield groups[place - 1], files, place == incomplete_place
