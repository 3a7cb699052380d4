"""`dts policy`, `dts pin`, `dts unpin`, `dts override`, and the question of `dts topology apply`."""

from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from sqlalchemy import text

from tests.cli.conftest import Dts, Night
from tests.lifecycle.archived import Archived, archived_package
from tests.observatory import Observatory


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def file_of(observatory: Observatory, folder: Path, **policy: object) -> str:
    """A topology file like the applied one but for its policy."""
    document = observatory.topology.model_dump(mode="json")
    document["policy"] |= policy
    file = folder / f"{uuid4()}.yaml"
    file.write_text(yaml.safe_dump(document))
    return str(file)


KEEP = [{"at": "source", "keep_days": 30}]


def test_the_policy_is_shown_as_it_holds_at_a_location(
    dts: Dts, observatory: Observatory, package: Archived, tmp_path: Path
) -> None:
    rules = [{"at": "source", "module": "mod280", "release": "by_pressure"}, *KEEP]
    assert dts("topology", "apply", file_of(observatory, tmp_path, retention=rules)).code == 0
    dts("pin", package.name, "--reason", "In doubt.", "--by", "ada")
    result = dts("policy", "show", "ccat_source")
    assert (result.code, result.err) == (0, "")
    assert "By pressure from" in result.out
    rows = result.rows()
    assert [
        "retention rule 1",
        "never",
        "0 s after archiving",
        "2 archive copies at 2 sites",
        "primecam mod280",
    ] in rows
    assert any(row[:2] == ["retention rule 2", "30 d after archiving"] and "chai hfa" in row[-1] for row in rows)
    assert ["1", package.name, "everywhere", "ada", "In doubt."] in rows
    assert "cologne_buffer" not in result.out
    assert "Nothing is ever deleted here." in dts("policy", "show").out


def test_before_a_topology_was_applied_there_is_no_policy(dts: Dts) -> None:
    assert "nothing is deleted anywhere" in dts("policy", "show").out


def test_a_diff_says_what_would_go_and_what_would_stay(
    dts: Dts, observatory: Observatory, package: Archived, tmp_path: Path
) -> None:
    keeping = file_of(observatory, tmp_path, retention=KEEP)
    result = dts("policy", "diff", keeping)
    assert result.code == 0
    assert result.out.splitlines()[:2] == [
        "ccat_source:",
        f"  keeps 1 package (2 copies, 506 B): {package.name}",
    ]
    assert dts("topology", "apply", keeping).code == 0
    freeing = dts("policy", "diff", file_of(observatory, tmp_path))
    assert f"  frees 1 package (2 copies, 506 B): {package.name}" in freeing.out
    assert "Nothing more would go" in dts("policy", "diff", keeping).out


def test_what_frees_more_than_the_brake_lets_go_is_applied_only_with_yes(
    dts: Dts, observatory: Observatory, package: Archived, tmp_path: Path
) -> None:
    assert dts("topology", "apply", file_of(observatory, tmp_path, retention=KEEP, brake={"bytes": 100})).code == 0
    freeing = file_of(observatory, tmp_path)
    result = dts("topology", "apply", freeing)
    assert result.code == 1
    assert f"frees 1 package (2 copies, 506 B): {package.name}" in result.out
    assert "Nothing was applied: it would free more at ccat_source than the brake lets go at once." in result.err
    assert "retention rule 1" in dts("policy", "show", "ccat_source").out
    assert dts("topology", "apply", freeing, "--yes").code == 0
    assert "retention rule 1" not in dts("policy", "show", "ccat_source").out


def test_a_pin_is_set_and_released(dts: Dts, package: Archived) -> None:
    result = dts("pin", str(package.observation), "--reason", "In doubt.", "--location", "ccat_buffer", "--by", "ada")
    assert result.out == "Pin 1: 1 package stays at ccat_buffer until `dts unpin 1`.\n"
    assert "ada pinned" in package.refusal("ccat_buffer")
    assert dts("unpin", "1", "--by", "bob").out == "Pin 1 is released.\n"
    with package.observatory.engine.connect() as connection:
        assert connection.execute(text("select pinned_by, released_by from pin")).one() == ("ada", "bob")
    again = dts("unpin", package.name)
    assert again.code == 1
    assert f"{package.name} is not pinned" in again.err


def test_a_pin_that_comes_too_late_says_so(dts: Dts, package: Archived) -> None:
    package.ask("ccat_source")
    result = dts("pin", package.name, "--reason", "In doubt.", "--until", "2999-01-01")
    assert "until 2999-01-01 23:59:59 UTC" in result.out
    assert "Too late at ccat_source: 1 package of it had gone or begun to go before." in result.out


def test_a_pin_needs_a_reason_a_known_subject_and_a_date_to_come(dts: Dts, night: Night) -> None:
    assert dts("pin", night.archived).code == 2
    assert "near it" in dts("pin", night.archived[:-1], "--reason", "x").err.lower()
    assert "is over" in dts("pin", night.archived, "--reason", "x", "--until", "2001-01-01").err
    assert dts("pin", night.archived, "--reason", "x", "--until", "soon").code == 2


def test_an_override_needs_two_people(dts: Dts, package: Archived, monkeypatch: pytest.MonkeyPatch) -> None:
    package.change_copy("us_archive", status="missing")
    asked = dts("override", "ask", package.name, "--location", "ccat_source", "--reason", "Full.", "--by", "ada")
    assert asked.code == 0
    assert "`dts override confirm 1`" in asked.out
    alone = dts("override", "confirm", "1", "--by", "ada")
    assert alone.code == 1
    assert "ada asked for override 1: another person must confirm it." in alone.err
    assert "are needed" in package.refusal("ccat_source")
    shown = dts("policy", "show", "ccat_source").rows()
    assert any(row[:5] == ["1", package.name, "ccat_source", "ada", "nobody yet"] for row in shown)
    monkeypatch.setenv("LOGNAME", "bob")
    pretended = dts("override", "confirm", "1", "--by", "bob")
    assert pretended.code == 1
    assert "was asked for from" in pretended.err
    assert "are needed" in package.refusal("ccat_source")
    monkeypatch.setattr("include.cli.override._account", lambda: "bob@ccat")
    assert "is in force until" in dts("override", "confirm", "1", "--by", "bob").out
    package.ask("ccat_source")
    assert "ada asked for it and bob confirmed it" in package.records()[0].reason
