from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from include.ops_db.states import WorkStatus
from include.topology import OperationKind
from tests.cli.conftest import Dts, Night


@pytest.fixture
def failed(night: Night) -> int:
    return night.add_operation(
        OperationKind.ARCHIVING, "us_archive", package=night.waiting, status=WorkStatus.FAILED, failure_count=8
    )


def test_a_failed_operation_is_pending_again_as_an_attempt_by_that_person(dts: Dts, night: Night, failed: int) -> None:
    result = dts("retry", str(failed), "--by", "ada", "--reason", "The store is mended.")
    assert result.code == 0
    assert f"operation {failed}: pending again" in result.out
    operation = night.operation(failed)
    assert (operation.status, operation.failure_count) == (WorkStatus.PENDING, 0)
    with night.engine.connect() as connection:
        attempt = connection.execute(text("select person, outcome, explanation from operation_attempt")).one()
    assert tuple(attempt) == ("ada", "reset", "The store is mended.")


def test_who_asks_is_by_default_who_types(dts: Dts, night: Night, failed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "grace")
    dts("retry", f"operation:{failed}")
    assert "Reset by grace" in night.operation(failed).explanation


def test_all_failed_leaves_what_has_not_failed(dts: Dts, night: Night, failed: int) -> None:
    running = night.add_operation(
        OperationKind.ARCHIVING, "cologne_archive", package=night.waiting, status=WorkStatus.IN_PROGRESS
    )
    assert dts("retry", "--all-failed").code == 0
    assert night.operation(failed).status is WorkStatus.PENDING
    assert night.operation(running).status is WorkStatus.IN_PROGRESS
    assert dts("retry", "--all-failed").out == "Nothing has failed.\n"


def test_by_package_only_its_own_operations_are_tried_again(dts: Dts, night: Night, failed: int) -> None:
    other = night.add_operation(OperationKind.ARCHIVING, "us_archive", package=night.archived, status=WorkStatus.FAILED)
    assert dts("retry", "--package", night.waiting).code == 0
    assert night.operation(failed).status is WorkStatus.PENDING
    assert night.operation(other).status is WorkStatus.FAILED


def test_a_pausing_operation_goes_at_once(dts: Dts, night: Night) -> None:
    pausing = night.add_operation(
        OperationKind.ARCHIVING, "us_archive", package=night.waiting, not_before=datetime(2040, 1, 1, tzinfo=UTC)
    )
    dts("retry", str(pausing))
    assert night.operation(pausing).not_before is None


def test_what_is_not_failed_is_left_and_said(dts: Dts, night: Night) -> None:
    done = night.add_operation(
        OperationKind.ARCHIVING,
        "us_archive",
        package=night.waiting,
        status=WorkStatus.COMPLETED,
        explanation="It is archived.",
    )
    result = dts("retry", str(done))
    assert result.code == 0
    assert result.out == f"operation {done}: left as it is, completed. It is archived.\n"


def test_an_operation_that_is_not_there_is_an_error(dts: Dts, night: Night, failed: int) -> None:
    result = dts("retry", str(failed), "999999")
    assert result.code == 1
    assert "There is no operation 999999" in result.err
    assert night.operation(failed).status is WorkStatus.PENDING


@pytest.mark.parametrize("arguments", [(), ("1", "--all-failed"), ("--all-failed", "--package", "p")])
def test_exactly_one_choice_must_be_made(dts: Dts, arguments: tuple[str, ...]) -> None:
    result = dts("retry", *arguments)
    assert result.code == 2
    assert "exactly one of them" in " ".join(result.err.split())
