"""What overtakes: packages of flagged observations, and packages that a scientist waits for.

A scientist waits for a package while an active StagingJob asks for it and it cannot be staged yet: it is in no archive,
or its copy has not come to the archive of the site that it is asked for at.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from include.topology import OperationKind

URGENT_PRIORITY = 100
"""Of an operation about something that overtakes; all others have 0."""

FLAGGED = """
select p.id from executed_obs_unit e join raw_data_package p on p.executed_obs_unit_id = e.id
where e.flagged_at is not null
"""

_ASKED_FOR = """
from staging_job j
join staging_job_package asked on asked.staging_job_id = j.id
join data_location l on l.id = j.data_location_id
join raw_data_package p on p.id = asked.raw_data_package_id
where j.state = 'active' and j.until > now()
  and not exists (select from physical_copy c where c.raw_data_package_id = p.id and c.data_location_id = l.id
    and c.status = 'staged')
  and (p.archived_at is null
    or (exists (select from data_location a where a.site = l.site and a.location_type = 'long_term_archive'
          and a.active)
      and not exists (select from physical_copy c join data_location a on a.id = c.data_location_id
        where c.raw_data_package_id = p.id and a.site = l.site and a.location_type = 'long_term_archive'
          and c.status not in ('deleted', 'missing', 'corrupt'))))
"""

URGENT_PACKAGES = f"{FLAGGED} union select p.id {_ASKED_FOR}"
"""A query for the ids of all packages that overtake."""

_OPERATIONS = {
    OperationKind.REGISTRATION: """
select o.id from executed_obs_unit e join filing f on f.executed_obs_unit_id = e.id
join operation o on o.filing_id = f.id where e.flagged_at is not null and
""",
    OperationKind.BUNDLING: """
select o.id from urgent u join data_transfer_package_member m on m.raw_data_package_id = u.id
join operation o on o.data_transfer_package_id = m.data_transfer_package_id where
""",
    OperationKind.TRANSFER: """
select o.id from urgent u join data_transfer_package_member m on m.raw_data_package_id = u.id
join data_transfer t on t.data_transfer_package_id = m.data_transfer_package_id
join operation o on o.data_transfer_id = t.id where
""",
    OperationKind.PACKAGING: "select o.id from urgent u join operation o on o.raw_data_package_id = u.id where",
}
_OPERATIONS[OperationKind.UNPACKING] = _OPERATIONS[OperationKind.TRANSFER]
_OPERATIONS[OperationKind.ARCHIVING] = _OPERATIONS[OperationKind.PACKAGING]
_OPERATIONS[OperationKind.STAGING] = _OPERATIONS[OperationKind.PACKAGING]

_LANE = "o.kind = :kind and o.data_location_id = :data_location_id and o.status = 'pending'"

# It begins with what is urgent, of which there is little, and never looks at all that waits in a lane.
_RANK = """
with urgent as materialized ({urgent}), theirs as materialized ({operations} {lane}), raised as (
  update operation set priority = :urgent_priority
  where id in (select o.id from operation o where o.id in (select id from theirs) and o.priority < :urgent_priority
    and o.status = 'pending' order by o.id for update skip locked)
)
update operation set priority = 0
where id in (select o.id from operation o where {lane} and o.priority = :urgent_priority
  and o.id not in (select id from theirs) order by o.id for update skip locked)
"""

RANK = {
    kind: text(_RANK.format(urgent=URGENT_PACKAGES, operations=operations, lane=_LANE))
    for kind, operations in _OPERATIONS.items()
}
"""For each kind that has urgent work: give the pending operations of a lane their priority, or take it from them."""

FLAG = text(
    """
    update executed_obs_unit set flagged_at = coalesce(flagged_at, now()), flagged_by = :person, flag_reason = :reason
    where id = :observation returning flagged_at
    """
)

UNFLAG = text(
    """
    with before as (select id, flagged_at from executed_obs_unit where id = :observation for no key update)
    update executed_obs_unit e set flagged_at = null, flagged_by = null, flag_reason = null
    from before where e.id = before.id returning before.flagged_at
    """
)

WHY = text(
    f"""
    select distinct 'observation ' || e.id || ' was flagged by ' || coalesce(e.flagged_by, 'somebody') || ' on '
      || to_char(e.flagged_at at time zone 'utc', 'YYYY-MM-DD HH24:MI') || ' UTC'
      || coalesce(': ' || nullif(e.flag_reason, ''), '') as why
    from executed_obs_unit e join raw_data_package p on p.executed_obs_unit_id = e.id
    where e.flagged_at is not null and p.id = any(:packages)
    union
    select j.requested_by || ' waits for ' || p.name || ' at ' || l.full_name || ' (StagingJob ' || j.id || ')'
      {_ASKED_FOR} and p.id = any(:packages)
    order by why limit 5
    """  # noqa: S608 - put together from constants
)

MEMBERS = text(
    """
    select m.raw_data_package_id from data_transfer_package_member m
    where m.data_transfer_package_id = coalesce(
      :bundle, (select data_transfer_package_id from data_transfer where id = :transfer))
    """
)


@dataclass(frozen=True, slots=True)
class Flagged:
    """Whether there is such an observation, and since when it was flagged."""

    is_known: bool
    flagged_at: datetime | None


def flag(connection: Connection, observation: UUID, *, person: str, reason: str) -> Flagged:
    """Have an observation's packages overtake others from the next plans on; again changes who and why."""
    row = connection.execute(FLAG, {"observation": observation, "person": person, "reason": reason}).first()
    return Flagged(row is not None, row.flagged_at if row else None)


def unflag(connection: Connection, observation: UUID) -> Flagged:
    """Have them overtake no more; tells since when they did."""
    row = connection.execute(UNFLAG, {"observation": observation}).first()
    return Flagged(row is not None, row.flagged_at if row else None)


def why_urgent(connection: Connection, package_ids: list[int]) -> list[str]:
    """Say why something about these packages overtakes, in half sentences; nothing if it does not."""
    return list(connection.execute(WHY, {"packages": package_ids}).scalars())


def packages_in(connection: Connection, *, bundle: int | None, transfer: int | None) -> list[int]:
    """Return the ids of the packages in a bundle, or in that of a transfer."""
    return list(connection.execute(MEMBERS, {"bundle": bundle, "transfer": transfer}).scalars())
