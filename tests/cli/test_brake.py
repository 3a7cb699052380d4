"""`dts brake` and `dts delete` against archived packages with real files."""

import json

import pytest
from sqlalchemy import Engine, text

from include.ops_db.states import CopyStatus
from include.sizes import size
from include.stages import deletion
from include.topology import OperationKind
from tests.cli.conftest import Dts
from tests.lifecycle.archived import Archived, archived_package
from tests.observatory import Observatory

HERE = "cologne_buffer"


@pytest.fixture
def observatory(engine: Engine, tmp_path) -> Observatory:
    """Two tars may go at once, not three."""
    return Observatory.build(engine, tmp_path / "observatory", brake={"share": 1, "bytes": 25_000})


@pytest.fixture
def packages(observatory: Observatory) -> list[Archived]:
    return [archived_package(observatory, {f"{number}.g3": b"x" * 9000}) for number in range(3)]


@pytest.fixture
def asked(observatory: Observatory, packages: list[Archived]) -> int:
    """A question that waits."""
    observatory.run(deletion, HERE)
    with observatory.engine.connect() as connection:
        return connection.execute(text("select id from deletion_brake")).scalar_one()


def test_questions_are_listed_and_shown_with_every_package(dts: Dts, asked: int, packages: list[Archived]) -> None:
    listed = dts("brake", "list")
    assert listed.rows()[1][:2] == [str(asked), HERE]
    total = size(sum(len(package.content) for package in packages))
    assert listed.rows()[1][3:] == ["3", total, "waits"]
    shown = dts("brake", "show", str(asked))
    assert "policy allows 25.0 kB" in shown.out
    assert all(package.name in shown.out for package in packages)
    assert {row["name"] for row in json.loads(dts("brake", "show", str(asked), "--json").out)["packages"]} == {
        package.name for package in packages
    }


def test_a_yes_lets_the_list_go(dts: Dts, asked: int, packages: list[Archived], observatory: Observatory) -> None:
    said = dts("brake", "approve", str(asked), "--by", "jane")
    assert said.out.startswith("It was approved by jane")
    observatory.run(deletion, HERE)
    assert [package.statuses(HERE) for package in packages] == [[CopyStatus.DELETED]] * 3
    again = dts("brake", "refuse", str(asked), "--reason", "no", "--by", "joe")
    assert again.code == 1
    assert "answered already. It was approved by jane" in again.err


def test_a_no_needs_a_reason_and_can_be_lifted(dts: Dts, asked: int) -> None:
    assert dts("brake", "refuse", str(asked)).code == 2
    assert "refused by jane" in dts("brake", "refuse", str(asked), "--reason", "wait", "--by", "jane").out
    assert dts("brake", "list").out == "No question waits; --all shows those that were answered.\n"
    assert dts("brake", "list", "--all").rows()[1][-2:] == ["refused", "jane"]
    assert "joe lifted that" in dts("brake", "lift", str(asked), "--reason", "full", "--by", "joe").out
    assert dts("brake", "lift", str(asked), "--reason", "full", "--by", "joe").code == 1
    assert dts("brake", "list", "--all").rows()[1][-2:] == ["refused, lifted", "jane"]


def test_a_question_that_nobody_asked_is_named(dts: Dts, observatory: Observatory) -> None:
    assert "There is no question 7" in dts("brake", "approve", "7").err


def test_a_dry_run_says_what_then_happens_and_changes_nothing(
    dts: Dts, observatory: Observatory, packages: list[Archived]
) -> None:
    packages[0].change_copy("us_archive", status=CopyStatus.CORRUPT)
    said = json.loads(dts("delete", "--dry-run", "--location", HERE, "--json").out)
    assert observatory.operations(OperationKind.DELETION) == []
    assert [package.records() for package in packages] == [[], [], []]

    observatory.run(deletion, HERE)
    gone = [package.statuses(HERE) == [CopyStatus.DELETED] for package in packages]
    assert [row["may_go"] for row in said["packages"]] == gone == [False, True, True]
    assert said["brake"] == []


def test_a_dry_run_knows_the_brake(dts: Dts, observatory: Observatory, packages: list[Archived]) -> None:
    said = dts("delete", "--dry-run", "--location", HERE)
    assert f"{HERE}: A person would be asked first: " in said.out
    total = size(sum(len(package.content) for package in packages))
    assert f"3 packages would go with {total}, 0 would stay." in said.out
    observatory.run(deletion, HERE)
    assert "held back by the brake (question 1)" in dts("delete", "--dry-run", "--location", HERE).out


def test_what_a_person_asks_for_goes_through_the_gate_in_their_name(
    dts: Dts, observatory: Observatory, packages: list[Archived]
) -> None:
    first = packages[0]
    said = dts("delete", first.name, "--location", HERE, "--yes", "--by", "jane", "--reason", "a test of the link")
    assert said.code == 0
    assert said.out.splitlines()[-1] == f"{HERE}: 1 package filed for deletion."
    (operation,) = observatory.operations(OperationKind.DELETION)
    assert "jane asked for it" in operation.explanation
    observatory.run(deletion, HERE)
    assert first.statuses(HERE) == [CopyStatus.DELETED]
    assert [record.requested_by for record in first.records()] == ["jane"]
    assert all(record.requested_by == "policy" for package in packages[1:] for record in package.records())


def test_what_a_person_asks_for_knows_the_brake(dts: Dts, observatory: Observatory, packages: list[Archived]) -> None:
    names = [package.name for package in packages]
    said = dts("delete", *names, "--location", HERE, "--yes", "--by", "jane")
    assert f"{HERE}: the brake holds 3 packages back." in said.out
    assert observatory.operations(OperationKind.DELETION) == []
    assert "jane" in dts("brake", "show", "1").out


def test_what_must_stay_is_not_filed(dts: Dts, observatory: Observatory, packages: list[Archived]) -> None:
    packages[0].change_copy("us_archive", status=CopyStatus.CORRUPT)
    said = dts("delete", packages[0].name, "--yes")
    assert "us_archive (corrupt)" in said.out
    assert observatory.operations(OperationKind.DELETION) == []
    archive = dts("delete", packages[1].name, "--location", "us_archive", "--yes")
    assert "nothing is ever deleted there" in archive.out
    assert observatory.operations(OperationKind.DELETION) == []


def test_without_a_yes_nothing_is_filed(
    dts: Dts, observatory: Observatory, packages: list[Archived], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.confirm", lambda *_, **__: (_ for _ in ()).throw(SystemExit(1)))
    assert dts("delete", packages[0].name).code == 1
    assert observatory.operations(OperationKind.DELETION) == []
    assert dts("delete").code == 2
    assert "There is no package 'nothing'" in dts("delete", "nothing", "--dry-run").err
