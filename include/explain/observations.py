"""An observation: what was filed of it, and how far its packages are."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from include.errors import BadInputError
from include.ops_db.states import FilingState

OBSERVATION = text(
    """
    select e.id, i.name as instrument, e.started_at, e.finished_at
    from executed_obs_unit e join instrument i on i.id = e.instrument_id where e.id = :observation
    """
)

FILES = text(
    """
    select count(*) as files, coalesce(sum(size_bytes), 0)::bigint as bytes,
      count(*) filter (where raw_data_package_id is null) as unpackaged
    from raw_data_file where executed_obs_unit_id = :observation
    """
)

FILINGS = text(
    """
    select f.id, f.received_at, f.received_from, f.state, f.verdict, f.file_count, o.id as operation_id, o.explanation
    from filing f left join operation o on o.filing_id = f.id and o.status not in ('completed', 'cancelled')
    where f.executed_obs_unit_id = :observation order by f.received_at
    """
)

PACKAGES = text("select id from raw_data_package where executed_obs_unit_id = :observation order by id")


@dataclass(frozen=True, kw_only=True)
class ExplainedFiling:
    """A filing and its verdict; the operation is its registration, if that is not over."""

    id: int
    received_at: datetime
    received_from: str
    state: FilingState
    verdict: str
    file_count: int
    operation_id: int | None
    explanation: str | None


@dataclass(frozen=True, kw_only=True)
class ExplainedObservation:
    """What is known about an observation. Instrument and start are unset while no filing of it is accepted."""

    id: UUID
    instrument: str | None
    started_at: datetime | None
    finished_at: datetime | None
    files: int
    bytes: int
    unpackaged: int
    filings: tuple[ExplainedFiling, ...]
    package_ids: tuple[int, ...]

    @property
    def sentence(self) -> str:
        """Say how far it is, packages apart."""
        if self.instrument is None:
            if any(filing.state is FilingState.RECEIVED for filing in self.filings):
                return "Nothing of it is accepted yet: see its filings."
            return "Nothing of it was accepted: see its filings."
        more = "it is finished" if self.finished_at else "it is not finished, so more files may come"
        waiting = f"{self.unpackaged} of them wait to be packaged" if self.unpackaged else "all of them are in packages"
        return f"{self.files} files of it are registered, {waiting}; {more}."


def explain_observation(connection: Connection, observation: UUID) -> ExplainedObservation:
    """Return what is known about an observation; four statements.

    Raises:
        BadInputError: nobody has filed anything of it.
    """
    values = {"observation": observation}
    row = connection.execute(OBSERVATION, values).one_or_none()
    filings = tuple(
        ExplainedFiling(**{key: filing[key] for key in filing if key != "state"}, state=FilingState(filing["state"]))
        for filing in connection.execute(FILINGS, values).mappings()
    )
    if row is None and not filings:
        raise BadInputError(
            f"Nobody has filed anything of an observation {observation}. A filing is received once the run of the DAG"
            " `registration` that brought it has started."
        )
    files = connection.execute(FILES, values).one()
    return ExplainedObservation(
        id=observation,
        instrument=row.instrument if row else None,
        started_at=row.started_at if row else None,
        finished_at=row.finished_at if row else None,
        files=files.files,
        bytes=files.bytes,
        unpackaged=files.unpackaged,
        filings=filings,
        package_ids=tuple(connection.execute(PACKAGES, values).scalars()),
    )
