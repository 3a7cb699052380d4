import threading

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from include.errors import BadInputError, TopologyError
from include.ops_db.states import FilingState, WorkStatus
from include.ops_db.tables import Filing
from include.registration.verdict import verdict_of
from include.topology import OperationKind, Topology
from tests.observatory import Observatory
from tests.registration.bad_confs import BAD_SHAPES, GOOD, STRANGERS, changed
from tests.registration.filings import Written, operation_count, run_id, send, written


def filing_count(observatory: Observatory) -> int:
    with Session(observatory.engine) as session:
        return len(session.scalars(select(Filing.id)).all())


def test_a_filing_gets_an_operation_at_the_location_that_has_the_files(observatory: Observatory) -> None:
    run = run_id()
    received = send(observatory, GOOD, run=run)
    assert received.location == "ccat_source"
    (operation,) = observatory.operations(OperationKind.REGISTRATION)
    assert (operation.filing_id, operation.status) == (received.filing_id, WorkStatus.PENDING)
    with Session(observatory.engine) as session:
        filing = session.scalars(select(Filing)).one()
        assert (filing.received_from, filing.conf, filing.state) == ("primecam", GOOD, FilingState.RECEIVED)
        assert (filing.file_count, filing.size_bytes, filing.decided_at) == (1, 1, None)
    verdict = verdict_of(observatory.engine, run)
    assert verdict.state is FilingState.RECEIVED
    assert "ccat-instrument" in verdict.sentence


@pytest.mark.parametrize("conf", [None, {}])
def test_a_run_without_a_filing_leaves_nothing(observatory: Observatory, conf: object) -> None:
    run = run_id()
    received = send(observatory, conf, run=run)
    assert (received.filing_id, received.location) == (None, None)
    assert filing_count(observatory) == 0
    assert verdict_of(observatory.engine, run).state is None


def test_whatever_is_refused_leaves_its_verdict_and_nothing_else(observatory: Observatory) -> None:
    for name, (conf, words) in (BAD_SHAPES | STRANGERS).items():
        run = run_id()
        received = send(observatory, conf, run=run)
        assert received.location is None, name
        verdict = verdict_of(observatory.engine, run)
        assert (verdict.state, verdict.sentence) == (FilingState.REFUSED, received.verdict), name
        assert verdict.sentence.startswith("Refused: "), name
        for word in words:
            assert word in verdict.sentence, name
    assert written(observatory) == Written(0, 0, 0)
    assert operation_count(observatory) == 0
    with observatory.engine.connect() as connection:
        assert connection.execute(text("select max(pg_column_size(conf)) from filing")).scalar_one() < 20_000


def test_only_the_accounts_of_the_topology_may_file(observatory: Observatory) -> None:
    assert send(observatory, GOOD, account="admin").location == "ccat_source"
    assert "'chai' may not file for primecam; primecam or admin may" in send(observatory, GOOD, account="chai").verdict
    assert "'{{ x }}\\\\x00' may not" in send(observatory, GOOD, account="{{ x }}\0").verdict
    assert "'nobody' may not" in send(observatory, GOOD, account="").verdict


def test_the_task_tried_again_changes_nothing(observatory: Observatory) -> None:
    run = run_id()
    assert send(observatory, GOOD, run=run) == send(observatory, GOOD, run=run)
    assert (filing_count(observatory), operation_count(observatory)) == (1, 1)


def test_two_tries_at_once_are_one_filing(observatory: Observatory) -> None:
    run = run_id()
    threads = [threading.Thread(target=send, args=(observatory, GOOD), kwargs={"run": run}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (filing_count(observatory), operation_count(observatory)) == (1, 1)


def test_a_refused_filing_is_judged_anew_when_its_run_is_cleared(observatory: Observatory) -> None:
    run = run_id()
    assert send(observatory, GOOD, run=run, account="chai").location is None
    assert send(observatory, GOOD, run=run, account="admin").location == "ccat_source"
    assert verdict_of(observatory.engine, run).state is FilingState.RECEIVED
    assert (filing_count(observatory), operation_count(observatory)) == (1, 1)


def test_a_run_cannot_stand_for_two_filings(observatory: Observatory) -> None:
    run = run_id()
    send(observatory, GOOD, run=run)
    for other in (changed(started_at="2026-04-01T03:20:01Z"), {"nonsense": 1}):
        with pytest.raises(BadInputError, match=f"{run} already stands for filing 1"):
            send(observatory, other, run=run)
    assert verdict_of(observatory.engine, run).state is FilingState.RECEIVED


def test_a_topology_that_is_not_the_applied_one_receives_nothing(observatory: Observatory) -> None:
    observatory.topology = Topology.model_validate(observatory.topology.model_dump() | {"instruments": ()})
    with pytest.raises(TopologyError):
        send(observatory, GOOD)
    assert filing_count(observatory) == 0


def test_a_filing_that_was_never_written_down_does_not_pass_for_none(observatory: Observatory) -> None:
    lost = verdict_of(observatory.engine, run_id(), carries_filing=True)
    assert lost.calls_a_person
    assert "Not received" in lost.sentence
    assert not verdict_of(observatory.engine, run_id()).calls_a_person


def test_a_refusal_and_a_failed_look_at_the_files_call_a_person_and_a_waiting_one_does_not(
    observatory: Observatory,
) -> None:
    run, refused = run_id(), run_id()
    send(observatory, GOOD, run=run)
    send(observatory, GOOD, run=refused, account="nobody")
    assert verdict_of(observatory.engine, refused, carries_filing=True).calls_a_person
    assert not verdict_of(observatory.engine, run, carries_filing=True).calls_a_person
    with observatory.engine.begin() as connection:
        connection.execute(text("update operation set status = 'failed', explanation = 'The disk is broken.'"))
    failed = verdict_of(observatory.engine, run, carries_filing=True)
    assert failed.calls_a_person
    assert "The disk is broken." in failed.sentence
