from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from include.ops_db.tables import RawDataPackage, StagingJob, StagingJobPackage
from tests.cli.conftest import Dts, Night

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date()


def test_a_staging_job_asks_for_the_packages_until_the_end_of_the_day(dts: Dts, night: Night) -> None:
    result = dts(
        "stage",
        night.archived,
        "--to",
        "cologne_processing",
        "--until",
        str(TOMORROW),
        "--by",
        "ada",
        "--reason",
        "A paper.",
    )
    assert (result.code, result.err) == (0, "")
    with Session(night.engine) as session:
        job = session.scalars(select(StagingJob)).one()
        names = session.scalars(select(RawDataPackage.name).join(StagingJobPackage)).all()
    assert (job.requested_by, job.reason, names) == ("ada", "A paper.", [night.archived])
    assert (job.until.date(), job.until.hour) == (TOMORROW, 23)


def test_a_time_without_a_zone_is_utc(dts: Dts, night: Night) -> None:
    dts("stage", night.archived, "--to", "cologne_processing", "--until", f"{TOMORROW}T18:00")
    with Session(night.engine) as session:
        assert session.scalars(select(StagingJob.until)).one() == datetime(
            TOMORROW.year, TOMORROW.month, TOMORROW.day, 18, tzinfo=UTC
        )


@pytest.mark.parametrize(
    ("package", "to", "until", "culprit"),
    [
        ("nothing_like_it", "cologne_processing", str(TOMORROW), "nothing_like_it"),
        (None, "cologne_procesing", str(TOMORROW), "cologne_procesing"),
        (None, "cologne_buffer", str(TOMORROW), "cologne_buffer"),
        (None, "cologne_processing", "2020-01-01", "2020-01-01"),
    ],
    ids=["no such package", "no such location", "no processing location", "a date that is over"],
)
def test_what_makes_no_sense_is_one_line_and_changes_nothing(
    dts: Dts, night: Night, package: str | None, to: str, until: str, culprit: str
) -> None:
    result = dts("stage", package or night.archived, "--to", to, "--until", until)
    assert result.code == 1
    assert result.err.startswith("dts: ")
    assert culprit in result.err
    assert len(result.err.splitlines()) == 1
    with Session(night.engine) as session:
        assert session.scalars(select(StagingJob)).all() == []


def test_a_word_that_is_no_date_is_typed_wrongly(dts: Dts, night: Night) -> None:
    result = dts("stage", night.archived, "--to", "cologne_processing", "--until", "soon")
    assert result.code == 2
    assert "'soon' is no date" in result.err
