"""The verdict on the filing that a run carried, for the run's last task and for people."""

from dataclasses import dataclass

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from include.ops_db.states import FilingState, WorkStatus

VERDICT = text(
    """
    select f.id, f.state, f.verdict, o.explanation, o.status
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
    """None: there is none of this run in ops-db."""
    state: FilingState | None
    sentence: str
    calls_a_person: bool = False
    """True if the run should be red: refused, never written down, or nobody goes on by himself."""


def verdict_of(engine: Engine, dag_run_id: str, *, carries_filing: bool = False) -> Verdict:
    """Return the verdict on a run's filing; while there is none, what it waits for.

    With `carries_filing` the run was sent one, so that its absence means that receiving it failed.
    """
    with Session(engine) as session:
        row = session.execute(VERDICT, {"dag_run_id": dag_run_id}).one_or_none()
    if row is None and carries_filing:
        lost = "Not received: nothing of the filing was written down. The log of `receive` says why; clear the run."
        return Verdict(filing_id=None, state=None, sentence=lost, calls_a_person=True)
    if row is None:
        return Verdict(filing_id=None, state=None, sentence="The run carried no filing.")
    state = FilingState(row.state)
    if state is not FilingState.RECEIVED:
        refused = state is FilingState.REFUSED
        return Verdict(filing_id=row.id, state=state, sentence=row.verdict, calls_a_person=refused)
    waits_for = row.explanation or "The next plan of the lane takes it up."
    return Verdict(
        filing_id=row.id,
        state=state,
        sentence=f"{row.verdict} No verdict yet: {waits_for}",
        calls_a_person=row.status == WorkStatus.FAILED,
    )
