"""What a run's parameters ask of staging, as they come from the form or over REST."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from include.airflow_glue.staging_request import fulfil, read_request
from include.errors import BadInputError
from include.ops_db.states import StagingState
from include.ops_db.tables import StagingJob
from tests.lifecycle.archived import Archived, archived_package
from tests.observatory import Observatory

HERE = "cologne_processing"
FORM: dict[str, object] = {
    "packages": [], "subjects": [], "only_location": None, "until": None, "wait": False, "extend": None,
    "release": None, "reason": None,
}  # fmt: skip
"""As it comes when nobody filled anything in."""


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def send(observatory: Observatory, *, run_id: str = "manual__1", person: str = "jane", **params: object) -> str:
    with Session(observatory.engine) as session, session.begin():
        return fulfil(session, read_request(FORM | params), person=person, run_id=run_id)


def jobs(observatory: Observatory) -> list[StagingJob]:
    with Session(observatory.engine) as session:
        return list(session.scalars(select(StagingJob).order_by(StagingJob.id)))


def test_an_empty_form_asks_for_nothing_whoever_triggers_it(observatory):
    assert send(observatory, person="") == "No StagingJob is asked for in this run."
    assert "No StagingJob" in send(observatory, person="", packages=["anything"], only_location=HERE)
    assert jobs(observatory) == []


def test_a_job_is_made_extended_and_released(observatory, package):
    said = send(observatory, subjects=[str(package.observation)], only_location=HERE, until=in_hours(1), reason="Orion")
    (job,) = jobs(observatory)
    assert said.startswith(f"StagingJob {job.id} at {HERE} until ")
    assert (job.requested_by, job.reason) == ("jane", "Orion")
    send(observatory, run_id="manual__2", extend=job.id, until=in_hours(5))
    assert jobs(observatory)[0].until > datetime.now(UTC) + timedelta(hours=4)
    send(observatory, run_id="manual__3", release=job.id)
    assert jobs(observatory)[0].state is StagingState.RELEASED


def test_a_run_that_is_cleared_asks_once(observatory, package):
    asked = {"packages": [package.name], "only_location": HERE, "until": in_hours(1)}
    send(observatory, **asked)
    assert "has asked for it already" in send(observatory, **asked)
    assert len(jobs(observatory)) == 1
    for _ in range(2):
        send(observatory, run_id="manual__2", extend=1, until=in_hours(3))
    for _ in range(2):
        send(observatory, run_id="manual__3", release=1)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"untill": "2099-01-01"}, "untill: Extra inputs are not permitted"),
        ({"until": 20990101}, "until: Input should be a valid string"),
        ({"packages": "one"}, "packages: Input should be a valid list"),
        ({"extend": "1"}, "extend: Input should be a valid integer"),
        ({"release": 0}, "release: Input should be greater than or equal to 1"),
        ({"release": 2**63}, "release: Input should be less than"),
        ({"extend": 1}, "Until when"),
        ({"extend": 1, "until": "2099-01-01", "packages": ["one"]}, "packages never change"),
        ({"release": 1, "until": "2099-01-01"}, "and nothing else"),
        ({"until": "{{ ds }}", "packages": ["{name}"], "only_location": HERE}, r"'\{\{ ds \}\}' is no date"),
        ({"until": "2099-01-01", "only_location": HERE}, "at least one package"),
        ({"subjects": ["{name}"], "only_location": HERE}, "Until when"),
        ({"until": "2099-01-01", "packages": ["{name}"]}, "Where to"),
        ({"until": "2099-01-01", "packages": ["none\0such"], "only_location": HERE}, "no package"),
        ({"until": "2099-01-01", "packages": ["{name}"], "only_location": "us_archive"}, "us_archive is a long term"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_nothing_is_written(observatory, package, params, why):
    def named(value: object) -> object:
        return [word.replace("{name}", package.name) for word in value] if isinstance(value, list) else value

    with pytest.raises(BadInputError, match=why):
        send(observatory, **{key: named(value) for key, value in params.items()})
    assert jobs(observatory) == []


def test_nobody_is_no_owner(observatory, package):
    with pytest.raises(BadInputError, match="name of the person"):
        send(observatory, person="", packages=[package.name], only_location=HERE, until=in_hours(1))


def test_a_reason_with_any_character_is_kept(observatory, package):
    asked = {"packages": [package.name], "only_location": HERE, "until": in_hours(1), "reason": "a\0b \ud800 ü"}
    send(observatory, **asked)
    assert jobs(observatory)[0].reason == "a\\x00b \\ud800 ü"
