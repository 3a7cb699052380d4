"""The verdict on a filing, written: all of it, or nothing but the refusal."""

import logging
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import FilingRefusedError, LeaseLostError, TransientError
from include.registration.conf import FilingConf
from include.registration.known import Comparison, compare
from include.registration.presence import IdentifiedFile
from include.registration.shown import files_shown, size_shown
from include.topology import Policy

logger = logging.getLogger(__name__)

# Two filings at one location are compared one after the other; the lock is taken in a statement of its own, so that the
# next one sees what the other filing wrote.
LOCK_LOCATION = text("select pg_advisory_xact_lock(hashtext('registration at location ' || :data_location_id))")
LOCK_FILING = text("select state from filing where id = :filing_id for update")

# The files of a refused stream are kept: the alarm about it ends once the same files are accepted.
REFUSE = text(
    """
    update filing set state = 'refused', verdict = :verdict, decided_at = now()
    where id = :filing_id and state = 'received'
    """
)

# A concurrent filing of the same observation at another location can only meet this one at the observation's row: where
# the two differ, that row is not returned, and nothing is accepted.
ACCEPT = text(
    """
    with observation as (
      insert into executed_obs_unit as o (id, instrument_id, started_at, finished_at)
      values (:observation, :instrument_id, :started_at, :finished_at)
      on conflict (id) do update set finished_at = coalesce(o.finished_at, excluded.finished_at)
        where o.instrument_id = excluded.instrument_id and o.started_at = excluded.started_at
          and (o.finished_at = excluded.finished_at or o.finished_at is null or excluded.finished_at is null)
      returning id
    ), gone as (
      delete from filed_line where filing_id = :filing_id
    )
    update filing set state = 'accepted', verdict = :verdict, decided_at = now(),
      file_count = :file_count, size_bytes = :size_bytes
    where id = :filing_id and state = 'received' and exists (select from observation)
    """
)

WRITE_FILES = text(
    """
    with files as (
      insert into raw_data_file
        (id, executed_obs_unit_id, instrument_module_id, data_location_id, filing_id, path, size_bytes, checksum)
      select id, :observation, :instrument_module_id, :data_location_id, :filing_id, path, size_bytes, checksum
      from filed where known_id is null and position > :after and position <= :up_to
      returning id, path, size_bytes
    ), copies as (
      insert into physical_copy (raw_data_file_id, data_location_id, path, size_bytes, status)
      select id, :data_location_id, path, size_bytes, 'present' from files
    )
    update raw_data_file k set checksum = f.checksum from filed f
    where k.id = f.known_id and k.checksum is null and f.checksum is not null and k.raw_data_package_id is null
      and f.position > :after and f.position <= :up_to
    """
)
FILES_PER_STATEMENT = 10_000
"""A statement has 30 seconds, on a busy server too."""


def refuse(session: Session, *, filing_id: int, reason: str) -> None:
    """Write a refusal, and nothing else.

    Raises:
        LeaseLostError: the filing has its verdict already.
    """
    refused = session.execute(REFUSE, {"filing_id": filing_id, "verdict": f"Refused: {reason}"})
    if refused.rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLostError(f"Filing {filing_id} has its verdict already; nothing was written.")
    logger.info("Filing %s is refused: %s", filing_id, reason)


def decide(
    session: Session,
    filing: FilingConf,
    files: Sequence[IdentifiedFile],
    *,
    filing_id: int,
    data_location_id: int,
    policy: Policy,
) -> None:
    """Compare a filing whose files are there with what is filed, and accept or refuse it.

    Raises:
        LeaseLostError: the filing has its verdict already.
        TransientError: another filing of the observation was accepted in the same moment.
    """
    session.execute(LOCK_LOCATION, {"data_location_id": str(data_location_id)})
    state = session.scalar(LOCK_FILING, {"filing_id": filing_id})
    if state != "received":
        raise LeaseLostError(f"Filing {filing_id} is {state} already; nothing was written.")
    try:
        comparison = compare(session, filing, files, filing_id=filing_id, data_location_id=data_location_id)
    except FilingRefusedError as error:
        refuse(session, filing_id=filing_id, reason=str(error))
        return
    verdict = _sentence(filing, comparison, file_count=len(files), policy=policy)
    _accept(session, filing, files, comparison, filing_id=filing_id, verdict=verdict)
    for after in range(0, len(files), FILES_PER_STATEMENT):
        session.execute(
            WRITE_FILES,
            {
                "filing_id": filing_id,
                "data_location_id": data_location_id,
                "observation": filing.executed_obs_unit,
                "instrument_module_id": comparison.instrument_module_id,
                "after": after,
                "up_to": after + FILES_PER_STATEMENT,
            },
        )
    logger.info("Filing %s: %s", filing_id, verdict)


def _accept(
    session: Session,
    filing: FilingConf,
    files: Sequence[IdentifiedFile],
    comparison: Comparison,
    *,
    filing_id: int,
    verdict: str,
) -> None:
    accepted = session.execute(
        ACCEPT,
        {
            "filing_id": filing_id,
            "observation": filing.executed_obs_unit,
            "instrument_id": comparison.instrument_id,
            "started_at": filing.started_at,
            "finished_at": filing.finished_at,
            "verdict": verdict,
            "file_count": len(files),
            "size_bytes": sum(identified.file.size_bytes for identified in files),
        },
    )
    if accepted.rowcount != 1:  # type: ignore[attr-defined]
        raise TransientError(
            f"Another filing of observation {filing.executed_obs_unit} was accepted in the same moment;"
            " they are compared again."
        )


def _sentence(filing: FilingConf, comparison: Comparison, *, file_count: int, policy: Policy) -> str:
    known = file_count - comparison.new_count
    closes = filing.finished_at is not None and comparison.was_finished_at is None
    of = f"of {filing.instrument} {filing.instrument_module}, observation {filing.executed_obs_unit}"
    if not comparison.new_count:
        finished = "the observation is now finished" if closes else "it changes nothing"
        return f"Accepted: all {files_shown(known)} {of} were known before; {finished}."
    new = comparison.new_count
    return (
        f"Accepted: {new:,} new file{'' if new == 1 else 's'} ({size_shown(comparison.new_bytes)}) {of},"
        f" {known:,} known before; {_packaged_when(filing, comparison, policy=policy)}."
    )


def _packaged_when(filing: FilingConf, comparison: Comparison, *, policy: Policy) -> str:
    if filing.finished_at or comparison.was_finished_at:
        return "they are packaged next, for the observation is finished"
    return (
        f"they are packaged when {size_shown(policy.package_max_bytes)} or {files_shown(policy.package_max_files)} have"
        f" come together, after {policy.package_max_age_seconds} seconds, or when the observation is finished"
    )
