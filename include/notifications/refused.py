"""Filings that were refused and that nobody has corrected: until the same files are accepted, or a person has seen it.

By the same files are meant the same paths of the same observation. Of a filing by manifest, or of one whose files are
not kept, nobody knows the paths here: any later accepted filing of its observation corrects it.
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

REFUSED = text(
    f"""
    select f.id, f.received_at, f.received_from, f.executed_obs_unit_id, f.verdict, l.full_name as location, l.site
    from filing f left join data_location l on l.id = f.data_location_id
    where f.state = 'refused' and f.received_at > now() - make_interval(secs => :seconds)
      and not exists (select from alarm seen
        where seen.key = 'filing_refused:' || f.id and seen.acknowledged_at is not null)
      and not (exists (select from filing a where {LATER}) and
        case when jsonb_typeof(f.conf -> 'files') = 'array' then not exists (
          select from jsonb_array_elements(f.conf -> 'files') as file where not exists (
            select from filing a where {LATER} and (
              a.conf -> 'files' @> jsonb_build_array(jsonb_build_object('path', file -> 'path'))
              or exists (select from raw_data_file r where r.executed_obs_unit_id = f.executed_obs_unit_id
                and r.path = file ->> 'path' and r.filing_id = a.id))))
        else true end)
    order by f.received_at desc, f.id desc limit :most
    """  # noqa: S608 - put together from constants of this file
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
