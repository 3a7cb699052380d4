"""The verdict on the filing that a run carried, for the run's last task and for people."""

from dataclasses import dataclass

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from include.ops_db.states import FilingState

VERDICT = text(
    """
    select f.id, f.state, f.verdict, o.explanation
    from filing f
    left join operation o on o.kind = 'registration' and o.data_location_id = f.data_location_id and o.filing_id = f.id
      and o.status not in ('completed', 'cancelled')
    where f.dag_run_id = :dag_run_id
    """
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is known about a filing now."""

    filing_id: int | None
    """None: the run carried no filing."""
    state: FilingState | None
    sentence: str


def verdict_of(engine: Engine, dag_run_id: str) -> Verdict:
    """Return the verdict on a run's filing; while there is none, what it waits for."""
    with Session(engine) as session:
        row = session.execute(VERDICT, {"dag_run_id": dag_run_id}).one_or_none()
    if row is None:
        return Verdict(filing_id=None, state=None, sentence="The run carried no filing.")
    state = FilingState(row.state)
    if state is not FilingState.RECEIVED:
        return Verdict(filing_id=row.id, state=state, sentence=row.verdict)
    waits_for = row.explanation or "The next plan of the lane takes it up."
    return Verdict(filing_id=row.id, state=state, sentence=f"{row.verdict} No verdict yet: {waits_for}")
