"""What ops-db knows about an observation and its files, compared with what a filing says. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from include.errors import FilingRefusedError
from include.registration.conf import FilingConf
from include.registration.presence import IdentifiedFile
from include.registration.shown import shown

ROWS_PER_STATEMENT = 50_000

OBSERVATION = text(
    """
    select i.id as instrument_id, m.id as instrument_module_id, o.started_at, o.finished_at,
      known.name as known_instrument,
      exists (
        select from filing f
        where f.executed_obs_unit_id = :observation and f.state = 'accepted'
          and f.conf ->> 'instrument_module' = :module and f.conf ->> 'finished_at' is not null
      ) or exists (
        select from filing f where f.id = :filing_id and f.received_at > o.closed_at
      ) as module_is_closed
    from instrument i
    join instrument_module m on m.instrument_id = i.id and m.name = :module
    left join executed_obs_unit o on o.id = :observation
    left join instrument known on known.id = o.instrument_id
    where i.name = :instrument
    """
)

CREATE_FILED = text(
    """
    create temporary table filed (
      position bigint, id uuid, path text, size_bytes bigint, checksum text, id_is_given boolean, known_id uuid
    ) on commit drop
    """
)

FILL_FILED = text(
    """
    insert into filed
    select f.position + :before, f.id, f.path, f.size_bytes, f.checksum, f.id_is_given, k.id
    from unnest(
      cast(:ids as uuid[]), cast(:paths as text[]), cast(:sizes as bigint[]), cast(:checksums as text[]),
      cast(:given as boolean[])
    ) with ordinality as f(id, path, size_bytes, checksum, id_is_given, position)
    left join raw_data_file k on k.executed_obs_unit_id = :observation and k.path = f.path
    """
)

# The first contradiction, if there is one, beside the totals: one round trip.
COMPARE = text(
    """
    select total.*, p.problem, p.filed_path, p.filed_size_bytes, p.filed_checksum, p.filed_id,
      k.id as known_id, k.path as known_path, k.executed_obs_unit_id as known_observation,
      k.size_bytes as known_size_bytes, k.checksum as known_checksum,
      m.name as known_module, l.full_name as known_location
    from (
      select count(*) filter (where known_id is null) as new_count,
        coalesce(sum(size_bytes) filter (where known_id is null), 0) as new_bytes
      from filed
    ) total
    left join lateral (
      select 'differs' as problem, f.position, f.path as filed_path, f.size_bytes as filed_size_bytes,
        f.checksum as filed_checksum, f.id as filed_id, k.id as known_id
      from filed f join raw_data_file k on k.id = f.known_id
      where k.size_bytes <> f.size_bytes or k.instrument_module_id <> :instrument_module_id
        or k.data_location_id <> :data_location_id or f.checksum <> k.checksum or (f.id_is_given and f.id <> k.id)
      union all
      select 'elsewhere', f.position, f.path, f.size_bytes, f.checksum, f.id, k.id
      from filed f
      join raw_data_file k on k.data_location_id = :data_location_id and k.path = f.path
        and k.executed_obs_unit_id <> :observation
      join physical_copy c on c.raw_data_file_id = k.id and c.data_location_id = :data_location_id
        and c.status not in ('deleted', 'missing')
      where f.known_id is null
      union all
      select 'id', f.position, f.path, f.size_bytes, f.checksum, f.id, k.id
      from filed f join raw_data_file k on k.id = f.id
      where f.known_id is null
      union all
      select 'new', f.position, f.path, f.size_bytes, f.checksum, f.id, null
      from filed f
      where f.known_id is null and :module_is_closed
      order by position, problem
      limit 1
    ) p on true
    left join raw_data_file k on k.id = p.known_id
    left join instrument_module m on m.id = k.instrument_module_id
    left join data_location l on l.id = k.data_location_id
    """
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A filing that contradicts nothing: what it adds."""

    instrument_id: int
    instrument_module_id: int
    was_finished_at: datetime | None
    new_count: int
    new_bytes: int


def compare(
    session: Session, filing: FilingConf, files: Sequence[IdentifiedFile], *, filing_id: int, data_location_id: int
) -> Comparison:
    """Compare, leaving the files in the temporary table `filed` for the write that follows in this transaction.

    Raises:
        FilingRefusedError: the filing contradicts what is filed; both sides are named.
    """
    observation = session.execute(
        OBSERVATION,
        {
            "observation": filing.executed_obs_unit,
            "instrument": filing.instrument,
            "module": filing.instrument_module,
            "filing_id": filing_id,
        },
    ).one()
    _compare_observation(filing, observation)
    _fill(session, files, observation=filing.executed_obs_unit)
    found = session.execute(
        COMPARE,
        {
            "observation": filing.executed_obs_unit,
            "instrument_module_id": observation.instrument_module_id,
            "data_location_id": data_location_id,
            "module_is_closed": observation.module_is_closed,
        },
    ).one()
    if found.problem is not None:
        raise FilingRefusedError(_contradiction(filing, found, finished_at=observation.finished_at))
    return Comparison(
        instrument_id=observation.instrument_id,
        instrument_module_id=observation.instrument_module_id,
        was_finished_at=observation.finished_at,
        new_count=found.new_count,
        new_bytes=int(found.new_bytes),
    )


def _compare_observation(filing: FilingConf, known: Row[tuple[object, ...]]) -> None:
    what = f"observation {filing.executed_obs_unit}"
    if known.known_instrument is None:
        return
    if known.known_instrument != filing.instrument:
        raise FilingRefusedError(
            f"{what} belongs to instrument {known.known_instrument}, not to {filing.instrument};"
            " give each observation a UUID of its own."
        )
    if known.started_at != filing.started_at:
        raise FilingRefusedError(
            f"{what} was filed with started_at {_time(known.started_at)}, not {_time(filing.started_at)};"
            " correct this filing."
        )
    if known.finished_at and filing.finished_at and known.finished_at != filing.finished_at:
        raise FilingRefusedError(
            f"{what} was filed with finished_at {_time(known.finished_at)}, not {_time(filing.finished_at)};"
            " correct this filing."
        )


def _fill(session: Session, files: Sequence[IdentifiedFile], *, observation: UUID) -> None:
    session.execute(CREATE_FILED)
    for before in range(0, len(files), ROWS_PER_STATEMENT):
        some = files[before : before + ROWS_PER_STATEMENT]
        session.execute(
            FILL_FILED,
            {
                "before": before,
                "observation": observation,
                "ids": [identified.identity for identified in some],
                "paths": [identified.file.path for identified in some],
                "sizes": [identified.file.size_bytes for identified in some],
                "checksums": [identified.file.checksum for identified in some],
                "given": [identified.file.id is not None for identified in some],
            },
        )
    if len(files) > 1000:  # without it the planner takes the table for a small one
        session.execute(text("analyze filed"))


def _contradiction(filing: FilingConf, found: Row[tuple[object, ...]], *, finished_at: datetime) -> str:
    path = shown(found.filed_path)
    match found.problem:
        case "new":
            return (
                f"{path} is new, but observation {filing.executed_obs_unit} was finished at {_time(finished_at)}"
                f" and its packages of {filing.instrument_module} are closed; file it under an observation of its own."
            )
        case "elsewhere":
            return (
                f"{path} is filed at {filing.data_location} under observation {found.known_observation};"
                " a file belongs to one observation."
            )
        case "id":
            return (
                f"the id {found.filed_id} of {path} is that of {shown(found.known_path)} in observation"
                f" {found.known_observation}; give it another."
            )
        case _:
            return f"{path} was filed before {_difference(filing, found)}; a filed file never changes."


def _difference(filing: FilingConf, found: Row[tuple[object, ...]]) -> str:
    if found.known_location != filing.data_location:
        return f"at {found.known_location}, not at {filing.data_location}"
    if found.known_module != filing.instrument_module:
        return f"for module {found.known_module}, not for {filing.instrument_module}"
    if found.known_size_bytes != found.filed_size_bytes:
        return f"with {found.known_size_bytes} bytes, not {found.filed_size_bytes}"
    if None not in (found.filed_checksum, found.known_checksum) and found.filed_checksum != found.known_checksum:
        return f"with checksum {found.known_checksum}, not {found.filed_checksum}"
    return f"with id {found.known_id}, not {found.filed_id}"


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
