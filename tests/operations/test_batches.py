"""Working through a batch."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from include.errors import (
    ChecksumMismatchError,
    LeaseLostError,
    MissingFileError,
    NoSpaceError,
    PermanentError,
    TopologyError,
    TransientError,
    WrongHostError,
)
from include.operations import batch
from include.operations.batch import BatchFailedError, BatchRunner
from include.operations.lease import Lease, take_lease
from include.operations.stage import Done, FailedWith, Work
from include.ops_db.engine import CLIENT_OPTIONS
from include.ops_db.states import WorkStatus
from tests.observatory import Observatory, now, sandbox_topology
from tests.operations.laboratory import PLACE, Laboratory, worker
from tests.operations.test_leases import cut_all_others


def runner(lab: Laboratory, **changes) -> BatchRunner:
    values = vars(lab.observatory.runner(lab.stage, PLACE)) | changes
    return BatchRunner(**values)


def fails_once(lab: Laboratory, error: Exception, *, at: int):
    """Work that raises at one package."""

    def work(work: Work) -> Done:
        if work.lease.raw_data_package_id == at:
            raise error
        return Done(explanation="Done.", size_bytes=3)

    lab.stage.work = work


def package_of(lab: Laboratory, operation: int) -> int:
    package = lab.operation(operation).raw_data_package_id
    assert package is not None
    return package


def test_one_failure_does_not_stop_the_rest(lab: Laboratory) -> None:
    operations = lab.operations(3)
    fails_once(lab, MissingFileError("a.g3 is gone."), at=package_of(lab, operations[1]))
    with pytest.raises(BatchFailedError, match=r"2 completed.*1 failed.*a\.g3 is gone") as caught:
        lab.run(operations)
    assert lab.statuses() == ["completed", "failed", "completed"]
    assert caught.value.report.completed == 2
    assert lab.attempts(operations[1]) == ["permanent"]


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (TransientError("busy"), WorkStatus.PENDING, "transient"),
        (NoSpaceError("full"), WorkStatus.PENDING, "waiting"),
        (ValueError("a bug"), WorkStatus.PENDING, "transient"),
    ],
)
def test_what_passes_by_itself_leaves_the_task_green(lab: Laboratory, error, status, outcome) -> None:
    (operation,) = lab.operations(1)
    fails_once(lab, error, at=package_of(lab, operation))
    report = lab.run([operation])
    assert (report.completed, report.later, report.failed) == (0, 1, [])
    row = lab.operation(operation)
    assert row.status is status
    assert row.not_before is not None
    assert str(error) in row.explanation
    assert (row.planned_run_id, row.planned_batch) == (None, None)
    assert lab.attempts(operation) == [outcome]


def test_a_pause_is_counted_by_the_clock_of_ops_db_whatever_the_hosts_says(lab: Laboratory, monkeypatch) -> None:
    (operation,) = lab.operations(1)
    fails_once(lab, TransientError("busy"), at=package_of(lab, operation))
    day = timedelta(days=1)

    def a_day_behind(*args: object, **kwargs: object) -> Lease:
        lease = take_lease(*args, **kwargs)  # type: ignore[arg-type]
        return replace(lease, taken_at=lease.taken_at - day)

    monkeypatch.setattr(batch, "take_lease", a_day_behind)
    lab.run([operation])
    pause = lab.operation(operation).not_before + day - now()
    assert timedelta(0) < pause <= timedelta(seconds=lab.observatory.topology.policy.retry_seconds)


def test_the_error_stands_in_the_attempt(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    fails_once(lab, ValueError("a bug"), at=package_of(lab, operation))
    lab.run([operation])
    with lab.engine.connect() as connection:
        row = connection.execute(text("select error_class, error_text, explanation from operation_attempt")).one()
    assert (row.error_class, row.error_text) == ("ValueError", "a bug")
    assert row.explanation == lab.operation(operation).explanation


def test_a_message_that_postgresql_cannot_keep_is_kept_readable(lab: Laboratory) -> None:
    # A file name that is not UTF-8 reaches Python as lone surrogates.
    operations = lab.operations(2)
    name = b"caf\xe9\x00.g3".decode("utf-8", "surrogateescape")
    fails_once(lab, MissingFileError(f"{name} is gone."), at=package_of(lab, operations[0]))
    with pytest.raises(BatchFailedError):
        lab.run(operations)
    assert lab.statuses() == ["failed", "completed"]
    assert r"caf\udce9\x00.g3 is gone." in lab.operation(operations[0]).explanation


def test_bytes_explanation_and_the_stages_rows_are_recorded_with_the_completion(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)

    def record(session: Session) -> None:
        session.execute(text("update raw_data_package set path = 'renamed'"))

    lab.stage.work = lambda _: Done(explanation="All is well.", size_bytes=77, record=record)
    assert lab.run([operation]).completed == 1
    row = lab.operation(operation)
    assert (row.status, row.explanation) == (WorkStatus.COMPLETED, "All is well.")
    assert row.finished_at is not None
    with lab.engine.connect() as connection:
        assert connection.execute(text("select path from raw_data_package")).scalar_one() == "renamed"
        assert connection.execute(text("select size_bytes, outcome from operation_attempt")).one() == (77, "completed")


def test_a_record_that_is_refused_is_a_failure_of_that_operation_alone(lab: Laboratory) -> None:
    operations = lab.operations(2)

    def work(work: Work) -> Done:
        def broken(session: Session) -> None:
            session.execute(text("update raw_data_package set path = 'renamed'"))
            raise ChecksumMismatchError("The copy changed meanwhile.")

        if work.lease.operation_id == operations[0]:
            return Done(explanation="Done.", record=broken)
        return Done(explanation="Done.")

    lab.stage.work = work
    with pytest.raises(BatchFailedError):
        lab.run(operations)
    assert lab.statuses() == ["failed", "completed"]
    with lab.engine.connect() as connection:
        assert "renamed" not in connection.execute(text("select path from raw_data_package")).scalars().all()


def test_a_failure_can_write_rows_of_the_stage(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)

    def quarantine(session: Session) -> None:
        session.execute(text("update raw_data_package set state = 'failed'"))

    fails_once(lab, FailedWith(ChecksumMismatchError("rotten"), record=quarantine), at=package_of(lab, operation))
    with pytest.raises(BatchFailedError, match="rotten"):
        lab.run([operation])
    assert lab.attempts(operation) == ["integrity"]
    with lab.engine.connect() as connection:
        assert connection.execute(text("select state from raw_data_package")).scalar_one() == "failed"


def test_a_failure_whose_rows_are_refused_is_recorded_all_the_same(lab: Laboratory) -> None:
    operations = lab.operations(2)

    def broken(session: Session) -> None:
        session.execute(text("update raw_data_package set state = 'nonsense'"))

    fails_once(lab, FailedWith(ChecksumMismatchError("rotten"), record=broken), at=package_of(lab, operations[0]))
    with pytest.raises(BatchFailedError, match="rotten"):
        lab.run(operations)
    assert lab.statuses() == ["failed", "completed"]
    assert "refused" in lab.operation(operations[0]).explanation


def test_a_transient_failure_can_write_rows_too(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)

    def note(session: Session) -> None:
        session.execute(text("update raw_data_package set path = 'noted'"))

    fails_once(lab, FailedWith(TransientError("busy"), record=note), at=package_of(lab, operation))
    assert lab.run([operation]).later == 1
    with lab.engine.connect() as connection:
        assert connection.execute(text("select path from raw_data_package")).scalar_one() == "noted"


def test_completed_operations_are_passed_over_so_clearing_is_safe(lab: Laboratory) -> None:
    operations = lab.operations(3)
    lab.run(operations)
    begun = list(lab.stage.worked_on)
    report = lab.run(operations, manual=True)
    assert (report.completed, report.passed_over) == (0, 3)
    assert lab.stage.worked_on == begun


def test_clearing_a_failed_task_does_its_failed_operations_again(lab: Laboratory) -> None:
    operations = lab.operations(2)
    fails_once(lab, PermanentError("no"), at=package_of(lab, operations[0]))
    with pytest.raises(BatchFailedError):
        lab.run(operations)
    lab.stage.work = lambda _: Done(explanation="Mended.")
    assert lab.run(operations).passed_over == 2, "not unless a person asks"
    report = lab.run(operations, manual=True)
    assert (report.completed, report.passed_over) == (1, 1)
    assert lab.statuses() == ["completed", "completed"]


def test_what_is_unfinished_goes_back_and_its_progress_clears_the_failures(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    lab.change(operation, failure_count=3)

    def progress(session: Session) -> None:
        session.execute(text("update raw_data_package set path = 'halfway'"))

    lab.stage.work = lambda _: Done(explanation="Half of it is there.", size_bytes=9, unfinished=True, record=progress)
    assert lab.run([operation]).later == 1
    row = lab.operation(operation)
    assert (row.status, row.failure_count, row.not_before) == (WorkStatus.PENDING, 0, None)
    assert row.explanation == "Half of it is there."
    assert lab.attempts(operation) == ["yielded"]
    with lab.engine.connect() as connection:
        assert connection.execute(text("select path from raw_data_package")).scalar_one() == "halfway"


def test_who_is_overtaken_in_the_middle_goes_on_with_the_next(lab: Laboratory) -> None:
    operations = lab.operations(2)

    def work(work: Work) -> Done:
        if work.lease.operation_id == operations[0]:
            lab.expire(operations[0])
            lab.taken(operations[0], run_id="other")
        return Done(explanation="Done.")

    lab.stage.work = work
    report = lab.run(operations)
    assert (report.completed, report.passed_over, report.failed) == (1, 1, [])
    assert lab.statuses() == ["in_progress", "completed"]


def test_who_is_overtaken_and_then_fails_records_nothing(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)

    def work(work: Work) -> Done:
        lab.expire(operation)
        lab.taken(operation, run_id="other")
        raise PermanentError("mine alone")

    lab.stage.work = work
    assert lab.run([operation]).passed_over == 1
    assert "mine alone" not in lab.operation(operation).explanation


def test_a_stage_that_notices_it_was_overtaken_is_passed_over(lab: Laboratory) -> None:
    (operation,) = lab.operations(1)
    fails_once(lab, LeaseLostError("taken over"), at=package_of(lab, operation))
    assert lab.run([operation]).passed_over == 1


def test_the_wrong_host_touches_nothing(lab: Laboratory) -> None:
    operations = lab.operations(1)
    with pytest.raises(WrongHostError, match=r"This is us, which does not work for cologne_archive \(cologne do\)"):
        runner(lab, worker=worker(host="us")).run(operations)
    assert lab.statuses() == ["pending"]


def test_another_topology_than_the_applied_one_touches_nothing(lab: Laboratory) -> None:
    operations = lab.operations(1)
    with pytest.raises(TopologyError, match="reads topology .* is the applied one"):
        runner(lab, topology=sandbox_topology(lab.observatory.root, attempts_max=99)).run(operations)
    assert lab.statuses() == ["pending"]


def test_without_any_applied_topology_nothing_is_touched(lab: Laboratory) -> None:
    operations = lab.operations(1)
    with lab.engine.begin() as connection:
        connection.execute(text("delete from topology_version"))
    with pytest.raises(TopologyError, match="dts topology apply"):
        lab.run(operations)
    assert lab.statuses() == ["pending"]


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_connection_that_was_cut_during_the_work_loses_no_result(lab: Laboratory, ops_db_url: str, ends: str) -> None:
    operations = lab.operations(2)

    def work(_: Work) -> Done:
        cut_all_others(ops_db_url)
        if ends == "badly":
            raise PermanentError("no")
        return Done(explanation="Done.")

    lab.stage.work = work
    engine = create_engine(ops_db_url, pool_size=1, connect_args=CLIENT_OPTIONS)
    try:
        runner(lab, engine=engine).run(operations)
    except BatchFailedError:
        assert ends == "badly"
    engine.dispose()
    lab.engine.dispose()
    assert lab.statuses() == (["completed"] * 2 if ends == "well" else ["failed"] * 2)
    assert len(lab.stage.worked_on) == 2, "nothing was done twice"


def test_a_worker_killed_in_the_middle_leaves_a_lease_that_its_next_try_takes(observatory: Observatory) -> None:
    lab = Laboratory(observatory)
    operations = lab.operations(2)

    def work(_: Work) -> Done:
        raise SystemExit  # as Airflow ends a task: no Exception

    lab.stage.work = work
    with pytest.raises(SystemExit):
        runner(lab, worker=worker(try_number=1)).run(operations)
    assert lab.statuses() == ["in_progress", "pending"]
    lab.stage.work = lambda _: Done(explanation="Done.")
    assert runner(lab, worker=worker(try_number=2)).run(operations).completed == 2
    assert lab.attempts(operations[0]) == ["lost", "completed"]
