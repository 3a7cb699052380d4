"""**Registration**: an instrument files files of an observation, and gets a verdict.

A filing arrives as the `conf` of a run of this DAG, or through the API, and is stored; then the lane of the SOURCE
location it names looks, on the host that has the files, whether each is there with the size filed, compares the filing
with what ops-db knows, and writes observation, files and copies: all of them, or nothing but the refusal. The verdict,
one sentence, stands in the `filing` row and is the result of the run.

*Safe to repeat:* always. The same filing again changes nothing. A refused filing is looked at anew when its run is
cleared, so after mending what the verdict names (a file that was missing, an account without the right) clear the run,
or file a corrected filing as a new run.

*When it stops:* a refusal is a verdict, no failure of the lane: the run's last task is red and says why. A lane task
that fails is about the host or its disk; mend that, then `dts retry` the operation or clear the task.

*To stop it:* pause the DAG. Filings sent meanwhile wait as queued runs.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.errors import FilingRefusedError, PermanentError
from include.operations.planning import NewOperation, want
from include.operations.stage import Done, Planning, Work
from include.ops_db.states import FilingState
from include.ops_db.tables import Filing
from include.registration.conf import FilingConf, parse_conf
from include.registration.decide import decide, refuse
from include.registration.lines import stored_lines
from include.registration.permitted import require_permitted
from include.registration.presence import IdentifiedFile, absent_files, identified_files, require_removed_here
from include.registration.shown import files_shown, size_shown
from include.topology import OperationKind

KIND = OperationKind.REGISTRATION
FILINGS_PER_PLAN = 1000

# `receive` writes filing and operation together, so this finds something only after an operation was cancelled or lost.
LEFT_LYING = text(
    """
    select f.id from filing f
    where f.state = 'received' and f.data_location_id = :data_location_id and not exists (
      select from operation o
      where o.kind = 'registration' and o.data_location_id = :data_location_id and o.filing_id = f.id
        and o.status not in ('completed', 'cancelled'))
    order by f.received_at
    limit :most
    """
)


def plan(planning: Planning) -> None:
    """Give every filing that waits for its verdict an operation."""
    place = {"data_location_id": planning.data_location_id, "most": FILINGS_PER_PLAN}
    explanation = "Its operation was gone while it still waits for a verdict; it is looked at again."
    want(
        planning.session,
        kind=KIND,
        data_location_id=planning.data_location_id,
        operations=[
            NewOperation(subject_id=filing_id, explanation=explanation)
            for filing_id in planning.session.scalars(LEFT_LYING, place)
        ],
    )


def run(work: Work) -> Done:
    """Look at the files of one filing, and decide on it."""
    filing_id = work.lease.filing_id
    with Session(work.engine) as session:
        row = session.get(Filing, filing_id)
    if row is None or filing_id is None:
        raise PermanentError(
            f"Operation {work.lease.operation_id} is about filing {filing_id}, which ops-db does not have."
        )
    if row.state is not FilingState.RECEIVED:
        return Done(explanation=f"Nothing to do, the filing has its verdict. {row.verdict}")
    try:
        filing = parse_conf(row.conf, policy=work.topology.policy, has_lines=row.has_lines)
        require_permitted(filing, topology=work.topology, account=row.received_from)
        files = _files_at_hand(work, filing, filing_id=filing_id if row.has_lines else None)
    except FilingRefusedError as error:
        reason = str(error)
        return Done(
            explanation=f"Filing {filing_id} is refused: {reason}",
            record=lambda session: refuse(session, filing_id=filing_id, reason=reason),
        )
    total = size_shown(sum(identified.file.size_bytes for identified in files))
    return Done(
        explanation=f"{files_shown(len(files))} ({total}) looked at, all as filed; the verdict of comparing them with"
        f" what was filed before stands in filing {filing_id}.",
        record=lambda session: decide(
            session,
            filing,
            files,
            filing_id=filing_id,
            data_location_id=work.lease.data_location_id,
            policy=work.topology.policy,
        ),
    )


def _files_at_hand(work: Work, filing: FilingConf, *, filing_id: int | None) -> list[IdentifiedFile]:
    """Return the files of a filing, all of which are there; `filing_id`: they came as a stream."""
    storage = work.storage_of(work.location.full_name)
    if filing_id is None:
        files = identified_files(filing, storage=storage)
    else:
        with Session(work.engine) as session:
            files = stored_lines(session, filing_id=filing_id, observation=filing.executed_obs_unit)
    absent = absent_files(files, storage=storage, location=work.location.full_name, check=work.check)
    if absent:
        with Session(work.engine) as session:
            require_removed_here(
                session,
                absent,
                observation=filing.executed_obs_unit,
                data_location_id=work.lease.data_location_id,
                location=work.location.full_name,
            )
    return files
