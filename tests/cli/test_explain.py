from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.orm import Session

from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus, FilingState, PackageState, WorkStatus
from include.ops_db.tables import (
    DataTransferPackage,
    DataTransferPackageMember,
    Filing,
    PhysicalCopy,
    RawDataPackage,
    StagingJob,
    StagingJobPackage,
)
from include.topology import OperationKind
from tests.cli.conftest import Dts, Night


def test_an_archived_package_is_safe_and_what_is_left_of_it_may_go(dts: Dts, night: Night) -> None:
    result = dts("explain", night.archived)
    assert result.code == 0
    assert f"Package {night.archived}: archived" in result.out
    assert "It is safe: 2 verified archive copies at 2 sites." in result.out
    assert "Deletion removes it from ccat_buffer, ccat_source once" in result.out


def test_a_package_may_be_named_by_its_number(dts: Dts, night: Night) -> None:
    assert night.archived in dts("explain", f"package:{night.package_id(night.archived)}").out


def test_each_copy_is_shown_with_its_last_verification(dts: Dts, night: Night) -> None:
    rows = {row[0]: row for row in dts("explain", night.archived).rows() if row}
    assert rows["cologne_archive"][1:4] == ["present", "10.2 kB", "2026-11-20 03:00:00"]
    assert rows["ccat_buffer"][3] == "never there"
    assert rows["ccat_source"][1:3] == ["present", "2.0 kB"]


def test_one_archive_copy_too_few_is_said(dts: Dts, night: Night) -> None:
    with Session(night.engine) as session, session.begin():
        session.execute(
            text(
                "update physical_copy set verified_at = null where data_location_id ="
                " (select id from data_location where full_name = 'us_archive')"
            )
        )
    out = dts("explain", night.archived).out
    assert "It has 1 verified archive copy at 1 site, and 2 at 2 are asked for" in out


def test_a_live_operation_says_what_comes_next_with_its_last_attempts(dts: Dts, night: Night) -> None:
    operation = night.add_operation(
        OperationKind.ARCHIVING,
        "cologne_archive",
        package=night.waiting,
        explanation="Try 1 of 8 met a passing trouble.",
        not_before=datetime(2030, 1, 1, tzinfo=UTC),
    )
    with night.engine.begin() as connection:
        connection.execute(
            text(
                "insert into operation_attempt (operation_id, number, started_at, finished_at, outcome, host, pid,"
                " dag_id, run_id, task_id, map_index, try_number, error_class, error_text)"
                " values (:id, 1, now(), now() + interval '3 s', 'transient', 'cologne', 77,"
                " 'archiving', 'run-1', 'run', 0, 1, 'TransientError', 'The store was busy.')"
            ),
            {"id": operation},
        )
    for out in (dts("explain", night.waiting).out, dts("explain", f"operation:{operation}").out):
        assert "Try 1 of 8 met a passing trouble." in out
        assert "Not before 2030-01-01 00:00:00 UTC." in out
        assert "on cologne (pid 77; archiving/run-1/run/0, try 1): transient after 3 s." in out
        assert "TransientError: The store was busy." in out


def test_a_package_in_an_open_bundle_says_when_it_closes(dts: Dts, night: Night) -> None:
    with Session(night.engine) as session, session.begin():
        bundle = DataTransferPackage(
            origin_location_id=location_id(session, "ccat_buffer"),
            destination_location_id=location_id(session, "us_buffer"),
            is_primary=True,
            closes_at=datetime(2026, 11, 20, 4, tzinfo=UTC),
        )
        session.add(bundle)
        session.flush()
        session.add(
            DataTransferPackageMember(
                data_transfer_package_id=bundle.id, raw_data_package_id=night.package_id(night.waiting)
            )
        )
    out = dts("explain", night.waiting).out
    assert "for us_buffer, which closes at 2026-11-20 04:00:00 UTC." in out


def test_who_wants_a_package_staged_is_named(dts: Dts, night: Night) -> None:
    with Session(night.engine) as session, session.begin():
        job = StagingJob(
            requested_by="ada",
            reason="A paper.",
            data_location_id=location_id(session, "cologne_processing"),
            until=datetime(2040, 1, 1, tzinfo=UTC),
        )
        session.add(job)
        session.flush()
        session.add(StagingJobPackage(staging_job_id=job.id, raw_data_package_id=night.package_id(night.archived)))
    assert (
        "ada wants it at cologne_processing until 2040-01-01 00:00:00 UTC. A paper."
        in dts("explain", night.archived).out
    )


def test_a_deleted_copy_is_no_place_where_it_is(dts: Dts, night: Night) -> None:
    with Session(night.engine) as session, session.begin():
        copy = session.query(PhysicalCopy).filter_by(raw_data_package_id=night.package_id(night.waiting)).one()
        copy.status, copy.deleted_at = CopyStatus.DELETED, datetime(2026, 11, 21, tzinfo=UTC)
    result = dts("explain", night.waiting)
    assert "It is at ccat_source (2 raw files)." in result.out
    assert "deleted 2026-11-21 00:00:00" in result.out


def test_a_package_that_could_not_be_made_waits_for_a_person(dts: Dts, night: Night) -> None:
    with Session(night.engine) as session, session.begin():
        session.get_one(RawDataPackage, night.package_id(night.waiting)).state = PackageState.FAILED
    assert "waits for a person" in dts("explain", night.waiting).out


def test_an_observation_shows_filings_and_packages(dts: Dts, night: Night) -> None:
    out = dts("explain", str(night.observation)).out
    assert "primecam, 2026-11-20 03:00:00 to 2026-11-20 04:00:00 (UTC); 4.0 kB" in out
    assert "4 files of it are registered, all of them are in packages; it is finished." in out
    assert "Accepted: 4 files, 4.0 kB." in out
    assert f"{night.waiting}: waiting. It is at" in out


def test_an_observation_whose_filings_were_all_refused_shows_the_verdicts(dts: Dts, night: Night) -> None:
    observation = uuid4()
    with Session(night.engine) as session, session.begin():
        session.add(
            Filing(
                dag_run_id="x",
                received_from="chai",
                conf=None,
                executed_obs_unit_id=observation,
                state=FilingState.REFUSED,
                verdict="There is no module mod999.",
            )
        )
    out = dts("explain", str(observation)).out
    assert "Nothing of it was accepted" in out
    assert "There is no module mod999." in out


def test_an_observation_that_nobody_filed_is_an_error(dts: Dts, night: Night) -> None:
    result = dts("explain", str(uuid4()))
    assert result.code == 1
    assert "Nobody has filed anything" in result.err


def test_a_package_typed_wrongly_gives_the_nearest_names(dts: Dts, night: Night) -> None:
    result = dts("explain", night.archived.replace("mod280", "mod208"))
    assert result.code == 1
    assert result.out == ""
    assert night.archived in result.err
    part = dts("explain", night.archived[-12:])
    assert f"Near it are: {night.archived}" in part.err


def test_an_operation_that_is_not_there_is_an_error_that_knows_packages_have_numbers_too(
    dts: Dts, night: Night
) -> None:
    result = dts("explain", "4711")
    assert (result.code, result.out) == (1, "")
    assert result.err == "dts: There is no operation 4711 in ops-db. (A package by its number: package:4711.)\n"
    assert dts("explain", "operation:seven").code == 1
    assert dts("explain", "9" * 40).code == 1


def test_an_operation_in_work_says_who_has_it(dts: Dts, night: Night) -> None:
    operation = night.add_operation(
        OperationKind.ARCHIVING, "us_archive", package=night.waiting, status=WorkStatus.IN_PROGRESS
    )
    expires = datetime.now(UTC) + timedelta(minutes=2)
    with night.engine.begin() as connection:
        values = {"id": operation, "expires": expires}
        connection.execute(
            text("update operation set lease_owner = 'archiving/r/run/0', lease_expires_at = :expires where id = :id"),
            values,
        )
    assert "archiving/r/run/0 has it until" in dts("explain", str(operation)).out
