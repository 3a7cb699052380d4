"""`dts staging`, and what `dts stage` takes beyond names of packages."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from include.ops_db.states import StagingState, WorkStatus
from include.ops_db.tables import RawDataPackage, StagingJob, StagingJobPackage
from include.topology import OperationKind
from tests.cli.conftest import STARTED_AT, Dts, Night

HERE = "cologne_processing"
TOMORROW = str((datetime.now(UTC) + timedelta(days=1)).date())
LATER = str((datetime.now(UTC) + timedelta(days=2)).date())
DAY = f"{STARTED_AT:%Y-%m-%d}"


@pytest.fixture
def ask(dts: Dts, night: Night):
    """Ask for something as ada; return the job's number."""

    def ask(*subjects: str, by: str = "ada", **options: str) -> int:
        more = [word for name, value in options.items() for word in (f"--{name}", value)]
        subjects = subjects or (night.archived,)
        result = dts("stage", *subjects, "--to", HERE, "--until", TOMORROW, "--by", by, "--json", *more)
        assert (result.code, result.err) == (0, "")
        return json.loads(result.out)["id"]

    return ask


def asked_for(night: Night, job: int) -> list[str]:
    with Session(night.engine) as session:
        names = select(RawDataPackage.name).join(StagingJobPackage).where(StagingJobPackage.staging_job_id == job)
        return list(session.scalars(names.order_by(RawDataPackage.id)))


def state_of(night: Night, job: int) -> StagingState:
    with Session(night.engine) as session:
        return session.get_one(StagingJob, job).state


@pytest.mark.parametrize(
    "subject",
    [
        "{observation}",
        "observation:{observation}",
        f"primecam:{DAY}",
        f"primecam:{DAY}T02:59..{DAY}T03:00",
        f"primecam:{DAY}T03:59+01:00..{DAY}",
    ],
)
def test_an_observation_or_a_time_means_its_packages_once(night: Night, ask, subject: str) -> None:
    job = ask(subject.format(observation=night.observation), night.archived, night.archived)
    assert asked_for(night, job) == [night.archived, night.waiting]


@pytest.mark.parametrize(
    ("subject", "culprit"),
    [
        ("observation:0b8f2f4e-0000-4000-8000-000000000000", "does not know an observation 0b8f2f4e"),
        ("chai:2026-11-20", "No observation of chai that began from 2026-11-20 00:00:00 UTC to 2026-11-20 23:59:59"),
        ("prime:2026-11-20", "no instrument 'prime' in 'prime:2026-11-20', but chai, primecam"),
        ("primecam:yesterday", "'yesterday' is no date"),
        ("primecam:2026-11-21..2026-11-20", "ends before it begins"),
        ("primecam:9999-12-31T23:59-14:00", "is no date"),
        ("nothing_like_it", "no package 'nothing_like_it'"),
    ],
)
def test_a_subject_that_means_nothing_is_one_line_and_changes_nothing(
    dts: Dts, night: Night, subject: str, culprit: str
) -> None:
    result = dts("stage", subject, "--to", HERE, "--until", TOMORROW)
    assert (result.code, result.out) == (1, "")
    assert culprit in result.err
    assert len(result.err.splitlines()) == 1
    with Session(night.engine) as session:
        assert session.scalars(select(StagingJob)).all() == []


def test_what_is_not_archived_is_refused_with_its_state_and_taken_with_wait(dts: Dts, night: Night) -> None:
    words = ("stage", night.waiting, "--to", HERE, "--until", TOMORROW)
    refused = dts(*words)
    assert refused.code == 1
    assert f"No archive has a verified copy of {night.waiting} (waiting)" in refused.err
    taken = dts(*words, "--wait")
    assert taken.code == 0
    assert "There are 0 of 1 package" in taken.out
    shown = dts("staging", "show", "1")
    assert "It is not archived yet (waiting): it is staged once an archive has a verified copy." in shown.out


def test_show_says_how_far_it_is_what_is_the_matter_and_who_did_what(dts: Dts, night: Night, ask) -> None:
    job = ask(str(night.observation), reason="A paper.")
    night.add_operation(
        OperationKind.STAGING, HERE, package=night.archived, status=WorkStatus.FAILED, explanation="The disk is broken."
    )
    dts("staging", "extend", str(job), "--until", LATER, "--by", "operator", "--reason", "She is ill.")
    shown = dts("staging", "show", str(job))
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0] == f"StagingJob {job}: pending"
    assert lines[1] == f"ada wants it at {HERE} until {LATER} 23:59:59 UTC."
    assert "There are 0 of 2 packages, 0 of 4 files, 0 B of 4.0 kB; 1 waiting, 1 cannot be had." in lines
    assert [night.archived, "failed", "2", "2.0 kB", "The disk is broken."] in shown.rows()
    assert any("extended by operator (dts, " in line and line.endswith(": She is ill.") for line in lines)

    as_json = json.loads(dts("staging", "show", str(job), "--json").out)
    assert (as_json["job"]["requested_by"], as_json["job"]["failed"]) == ("ada", 1)
    assert [each["status"] for each in as_json["packages"]] == ["failed", "pending"]
    assert [each["event"] for each in as_json["history"]] == ["requested", "extended"]


def test_list_shows_active_jobs_mine_or_everybodys_and_those_that_ended_if_asked(
    dts: Dts, night: Night, ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other, over = ask(), ask(by="joe"), ask()
    dts("staging", "release", str(over), "--by", "ada")
    monkeypatch.setattr("getpass.getuser", lambda: "ada")

    def numbers(*options: str) -> list[str]:
        return [row[0] for row in dts("staging", "list", *options).rows()[1:]]

    assert numbers() == [str(other), str(mine)]
    assert numbers("--mine") == [str(mine)]
    assert numbers("--mine", "--all") == [str(over), str(mine)]
    assert numbers("--by", "joe") == [str(other)]
    listed = json.loads(dts("staging", "list", "--all", "--json").out)
    assert [(each["id"], each["status"]) for each in listed] == [
        (over, "released"), (other, "pending"), (mine, "pending")
    ]  # fmt: skip


def test_without_any_job_it_says_so(dts: Dts, night: Night) -> None:
    assert dts("staging", "list").out == "No active StagingJob; --all shows those that are over.\n"
    assert json.loads(dts("staging", "list", "--json").out) == []


@pytest.mark.parametrize("change", [("extend", "--until", LATER), ("release",)], ids=["extend", "release"])
def test_a_stranger_is_refused_in_one_line_and_nothing_changes(dts: Dts, night: Night, ask, change) -> None:
    job = ask()
    verb, *options = change
    result = dts("staging", verb, str(job), *options, "--by", "joe")
    assert (result.code, result.out) == (1, "")
    assert "is ada's: only ada or an operator (operator, admin) may" in result.err
    assert len(result.err.splitlines()) == 1
    assert state_of(night, job) is StagingState.ACTIVE


@pytest.mark.parametrize(
    ("words", "code", "culprit"),
    [
        (("extend", "4711", "--until", LATER), 1, "There is no StagingJob 4711"),
        (("release", "4711"), 1, "There is no StagingJob 4711"),
        (("show", "4711"), 1, "There is no StagingJob 4711"),
        (("show", "99999999999999999999"), 1, "There is no StagingJob 99999999999999999999"),
        (("release", "99999999999999999999"), 1, "There is no StagingJob 99999999999999999999"),
        (("show", "first"), 2, "valid integer"),
        (("extend", "1", "--until", "2020-01-01"), 1, "is not later"),
        (("extend", "1", "--until", "soon"), 2, "'soon' is no date"),
        (("extend", "1"), 2, "--until"),
    ],
)
def test_what_makes_no_sense_is_said_and_changes_nothing(dts: Dts, night: Night, ask, words, code, culprit) -> None:
    ask()
    result = dts("staging", *words, "--by", "ada") if words[0] != "show" else dts("staging", *words)
    assert result.code == code
    assert culprit in result.err
    with night.engine.connect() as connection:
        assert connection.execute(text("select count(*) from staging_job_event")).scalar_one() == 1


def test_explain_says_for_whom_a_package_is_staged_until_when_and_by_which_job(dts: Dts, night: Night, ask) -> None:
    job = ask(reason="A paper.")
    said = dts("explain", night.archived).out
    assert f"ada wants it at {HERE} until {TOMORROW} 23:59:59 UTC. A paper. (`dts staging show {job}`)" in said
