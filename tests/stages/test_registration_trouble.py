"""Registration when many file at once, or a disk or worker is in trouble: all or nothing, and a verdict in the end."""

import threading
from uuid import uuid4

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from include.errors import TransientError
from include.ops_db.states import FilingState, WorkStatus
from include.ops_db.tables import Operation
from include.registration.verdict import verdict_of
from include.storage.disk import DiskStorage
from include.storage.interface import FileStat
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.registration.filings import (
    STAGE,
    Written,
    file_it,
    filing_of,
    run_id,
    send,
    written,
)
from tests.stages.registered import FILES, assert_accepted, raw_data_files


def test_two_observations_that_file_the_same_file_at_once_cannot_both_have_it(filed: Observatory) -> None:
    for _ in range(5):
        path = f"contested/{uuid4()}.g3"
        filed.put_files({path: b"mine"})
        runs = [run_id() for _ in range(4)]
        for run in runs:
            send(filed, filing_of({path: b"mine"}), run=run)
        (batch,) = filed.plan(STAGE, "ccat_source").batches
        barrier = threading.Barrier(len(batch))

        def work(operation_id: int, barrier: threading.Barrier = barrier) -> None:
            runner = filed.runner(STAGE, "ccat_source", run_id=f"run {operation_id}")
            barrier.wait()
            assert runner.run([operation_id]).completed == 1

        threads = [threading.Thread(target=work, args=(operation_id,)) for operation_id in batch]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        states = sorted(str(verdict_of(filed.engine, run).state) for run in runs)
        assert states == ["accepted", "refused", "refused", "refused"]
        assert raw_data_files(filed).keys() >= {path}
    assert written(filed) == Written(observations=5, files=5, copies=5)


def test_filings_of_one_observation_at_once_add_up(filed: Observatory) -> None:
    observation = str(uuid4())
    files = {f"part-{number}.g3": b"x" for number in range(6)}
    filed.put_files(files)
    for path in files:
        send(filed, filing_of({path: b"x"}, executed_obs_unit=observation))
    (batch,) = filed.plan(STAGE, "ccat_source").batches
    threads = [
        threading.Thread(target=filed.runner(STAGE, "ccat_source", run_id=f"run {number}").run, args=([operation_id],))
        for number, operation_id in enumerate(batch)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written(filed) == Written(observations=1, files=6, copies=6)


def test_a_disk_that_is_not_there_is_waited_for_and_no_verdict(filed: Observatory) -> None:
    run = run_id()
    send(filed, filing_of(FILES), run=run)
    folder = filed.folder("ccat_source")
    folder.rename(folder.with_name("unmounted"))
    report = filed.run(STAGE, "ccat_source")
    assert (report.completed, report.later) == (0, 1)
    verdict = verdict_of(filed.engine, run)
    assert verdict.state is FilingState.RECEIVED
    assert "No verdict yet" in verdict.sentence
    assert "is its disk mounted" in verdict.sentence
    folder.with_name("unmounted").rename(folder)
    with filed.engine.begin() as connection:
        connection.execute(text("update operation set not_before = null"))
    filed.run(STAGE, "ccat_source")
    assert_accepted(verdict_of(filed.engine, run))


class _HangingDisk(DiskStorage):
    """Fails in the middle of a filing."""

    def stat(self, path: str) -> FileStat | None:
        if path.endswith("empty.g3"):
            raise TransientError("the disk hangs")
        return super().stat(path)


def test_trouble_in_the_middle_writes_nothing(filed: Observatory) -> None:
    filed.storages["ccat_source"] = _HangingDisk(filed.folder("ccat_source"))
    send(filed, filing_of(FILES))
    assert filed.run(STAGE, "ccat_source").later == 1
    assert written(filed) == Written(0, 0, 0)


def test_a_filing_whose_operation_was_lost_gets_another(filed: Observatory) -> None:
    run = run_id()
    send(filed, filing_of(FILES), run=run)
    with filed.engine.begin() as connection:
        connection.execute(text("delete from operation"))
    filed.run(STAGE, "ccat_source")
    assert_accepted(verdict_of(filed.engine, run))
    filed.plan(STAGE, "ccat_source")
    assert len(filed.operations(OperationKind.REGISTRATION)) == 1


def test_an_operation_that_is_done_again_after_its_verdict_changes_nothing(filed: Observatory) -> None:
    run = run_id()
    before = file_it(filed, filing_of(FILES), run=run)
    with Session(filed.engine) as session, session.begin():
        session.execute(update(Operation).values(status=WorkStatus.PENDING))
    assert filed.run(STAGE, "ccat_source").completed == 1
    assert verdict_of(filed.engine, run) == before
    assert written(filed) == Written(observations=1, files=3, copies=3)
