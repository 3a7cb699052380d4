"""Filings that were refused and that nobody has corrected: until the same files are accepted, or a person has seen it.

By the same files are meant the same paths of the same observation, or the same manifest. Where the paths are not kept
(what was refused for its form) only the same filing under the same key, or a person, ends it: other files of the
observation that are accepted meanwhile do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

MOST = 1000
"""The newest so many are looked at."""

LATER = """
a.executed_obs_unit_id = f.executed_obs_unit_id and a.state = 'accepted' and a.decided_at > f.decided_at
"""

PATHS = """
select file ->> 'path' as path from jsonb_array_elements(
  case when jsonb_typeof(f.conf -> 'files') = 'array' then f.conf -> 'files' else '[]' end) as file
union all select line.path from filed_line line where line.filing_id = f.id
"""

# A path is accepted by what a later filing says, or by the file that it wrote (of a stream nothing else is kept).
CORRECTED = f"""
exists (select from filing a where {LATER}) and (
  exists (select from filing a where {LATER} and a.conf ->> 'manifest' = f.conf ->> 'manifest')
  or (exists ({PATHS}) and not exists (select from ({PATHS}) filed where not exists (
    select from filing a where {LATER} and (
      a.conf -> 'files' @> jsonb_build_array(jsonb_build_object('path', filed.path))
      or exists (select from raw_data_file r where r.executed_obs_unit_id = f.executed_obs_unit_id
        and r.path = filed.path and r.filing_id = a.id))))))
"""  # noqa: S608 - put together from constants of this file

REFUSED = text(
    f"""
    select f.id, f.received_at, f.received_from, f.executed_obs_unit_id, f.verdict, l.full_name as location, l.site
    from filing f left join data_location l on l.id = f.data_location_id
    where f.state = 'refused' and f.received_at > now() - make_interval(secs => :seconds)
      and not exists (select from alarm seen
        where seen.key = 'filing_refused:' || f.id and seen.acknowledged_at >= f.decided_at)
      and not ({CORRECTED})
    order by f.received_at desc, f.id desc limit :most
    """  # noqa: S608 - the same
)

# The paths of what is corrected, or will not be any more, are of no use.
FORGET_PATHS = text(
    """
    delete from filed_line line using filing f
    where f.id = line.filing_id and f.state = 'refused' and (f.received_at < now() - make_interval(secs => :seconds)
      or exists (select from alarm a where a.key = 'filing_refused:' || f.id and a.cleared_at is not null
        and a.since > f.decided_at))
    """
)

HOW_TO_CORRECT = "Mend what it names and file the same files again, or `dts alarms acknowledge filing_refused:{id}`."


@dataclass(frozen=True, kw_only=True)
class RefusedFiling:
    """A refused filing that nobody has corrected."""

    id: int
    received_at: datetime
    received_from: str
    executed_obs_unit_id: UUID | None
    verdict: str
    location: str | None
    site: str | None

    @property
    def key(self) -> str:
        """Of its alarm."""
        return f"filing_refused:{self.id}"

    @property
    def how_to_correct(self) -> str:
        """A sentence."""
        return HOW_TO_CORRECT.format(id=self.id)


def refused_filings(connection: Connection, *, days: float, most: int = MOST) -> Sequence[RefusedFiling]:
    """Return the refused filings of the last `days` that nobody has corrected, newest first."""
    rows = connection.execute(REFUSED, {"seconds": days * 86_400, "most": most}).mappings()
    return [RefusedFiling(**row) for row in rows]


def forget_paths(connection: Connection, *, days: float) -> None:
    """Forget the paths of refused filings whose alarm is over, or that nobody corrects after so many days."""
    connection.execute(FORGET_PATHS, {"seconds": days * 86_400})
