"""What planning a lane says to ops-db. Every statement keeps to one lane; values are bound."""

from sqlalchemy import text

LANE = "data_location_id = :data_location_id and kind = :kind"

RUNS_TO_ASK_ABOUT = text(
    f"""
    select distinct planned_run_id from operation
    where {LANE} and status = 'scheduled' and planned_run_id <> :run_id and scheduled_at < now() - interval '30 seconds'
    """
)

TAKE_BACK_SCHEDULED = text(
    f"""
    update operation set status = 'pending', planned_run_id = null, planned_batch = null,
      explanation = 'The run that had it in a batch ended, or never came to it; it is proposed again.'
    where {LANE} and status = 'scheduled'
      and (planned_run_id = any(:ended_runs) or scheduled_at < now() - interval '1 day')
    """
)

# A worker that dies again and again over one operation must not go on for ever unseen: it counts as a failure.
TAKE_BACK_EXPIRED = text(
    f"""
    with expired as (
      update operation set
        status = case when failure_count + 1 >= :attempts_max then 'failed' else 'pending' end,
        failure_count = failure_count + 1,
        not_before = case when failure_count + 1 >= :attempts_max then now() + make_interval(secs => :slow_seconds) end,
        planned_run_id = null, planned_batch = null, lease_owner = null, lease_try = null, lease_expires_at = null,
        explanation = case when failure_count + 1 >= :attempts_max
          then 'It failed ' || (failure_count + 1) || ' times in a row, the last time because its worker died or was'
            || ' cut off. A person should look into the logs of its attempts; it is tried again slowly, next at '
            || to_char((now() + make_interval(secs => :slow_seconds)) at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS')
            || ' UTC.'
          else 'Its worker died or was cut off: the lease ran out, and it is proposed again.' end
      where {LANE} and status = 'in_progress' and lease_expires_at < now()
      returning id
    )
    update operation_attempt a set finished_at = now(), outcome = 'lost',
      explanation = 'Its worker died or was cut off: the lease ran out.'
    from expired where a.operation_id = expired.id and a.outcome is null
    """
)

TAKE_BACK_SLOW = text(
    f"""
    update operation set status = 'pending', planned_run_id = null, planned_batch = null,
      explanation = 'It failed often, and its slow retry is due; it is proposed again.'
    where id in (
      select id from operation where {LANE} and status = 'failed' and not_before <= now() order by id for update)
    """
)

RETRY_OWN_FAILED = text(
    f"""
    with reset as (
      update operation set status = 'pending', not_before = null, failure_count = 0, attempt_count = attempt_count + 1,
        explanation = 'The run that it failed in was cleared by a person; it is proposed again.'
      where {LANE} and status = 'failed' and planned_run_id = :run_id
      returning id, attempt_count
    )
    insert into operation_attempt (operation_id, number, started_at, finished_at, outcome, person, run_id, explanation)
    select id, attempt_count, now(), now(), 'reset', :person, :run_id, 'The run was cleared.' from reset
    """
)

IN_FLIGHT = text(
    f"""
    select count(distinct (planned_run_id, planned_batch)) as batches, count(distinct planned_run_id) as runs
    from operation
    where {LANE} and status in ('scheduled', 'in_progress')
    """
)

PACKAGES_OF_SUBJECT = """
(:all_packages or exists (
  select from raw_data_package p where p.name = any(:packages) and (
    p.id = operation.raw_data_package_id
    or exists (select from physical_copy c where c.raw_data_package_id = p.id and c.id = operation.physical_copy_id)
    or exists (select from data_transfer_package_member m where m.raw_data_package_id = p.id
               and m.data_transfer_package_id = operation.data_transfer_package_id)
    or exists (select from data_transfer_package_member m join data_transfer t using (data_transfer_package_id)
               where m.raw_data_package_id = p.id and t.id = operation.data_transfer_id))))
"""

# New ones and those that had to pause take turns. Oldest first among all of them, what waits for a person would come
# again and again before everything newer, and with enough of it the newer would never have a turn.
DUE = text(
    f"""
    with fresh as (
      select id, size_bytes, priority from operation
      where {LANE} and status = 'pending' and not_before is null and {PACKAGES_OF_SUBJECT}
      order by priority desc, id
      limit :most
      for update skip locked
    ), again as (
      select id, size_bytes, priority, not_before from operation
      where {LANE} and status = 'pending' and not_before <= now() and {PACKAGES_OF_SUBJECT}
      order by priority desc, not_before, id
      limit :most
      for update skip locked
    )
    select id, size_bytes from (
      select id, size_bytes, priority, row_number() over (order by priority desc, id) as turn from fresh
      union all
      select id, size_bytes, priority, row_number() over (order by priority desc, not_before, id) from again
    ) due
    order by priority desc, turn, id
    limit :most
    """
)

SCHEDULE = text(
    """
    update operation o set status = 'scheduled', planned_run_id = :run_id, planned_batch = proposed.batch,
      scheduled_at = now(),
      explanation = 'It is in batch ' || proposed.batch || ' of run ' || :run_id || '; a worker of queue ' || :queue
        || ' takes it next.'
    from unnest(cast(:ids as bigint[]), cast(:batches as int[])) as proposed(id, batch)
    where o.id = proposed.id
    """
)

# Only the head of the lane is told: a lane may have a million rows behind it, and those get their turn to be told.
HEAD = f"""
(select id from operation
 where {LANE} and status = 'pending' and (not_before is null or not_before <= now())
 order by priority desc, id limit 1000)
"""

NOBODY_LISTENS = text(
    f"""
    update operation o set explanation = :nobody from {HEAD} as head
    where o.id = head.id and o.status = 'pending' and o.explanation <> :nobody
    """
)

SOMEBODY_LISTENS = text(
    f"""
    update operation o set explanation = 'It waits for its turn in queue ' || :queue || '.' from {HEAD} as head
    where o.id = head.id and o.status = 'pending' and o.explanation = :nobody
    """
)

NEXT_DUE = text(
    f"""
    select extract(epoch from min(not_before) - clock_timestamp()) from operation
    where {LANE} and status = 'pending' and not_before > now() and {PACKAGES_OF_SUBJECT}
    """
)
