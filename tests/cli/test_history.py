"""`dts history`: the life of a file from filing to deletion, in one screen, also after everything local is gone."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from include.ops_db.states import CopyStatus
from include.stages import deletion, staging
from tests.cli.conftest import Dts
from tests.lifecycle.archived import BUFFERS, FILES, Archived, archived_package
from tests.observatory import Observatory


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    """Staged, wanted no more, and deleted everywhere but in the archives."""
    package = archived_package(observatory)
    package.stage()
    package.staging_job(until=datetime.now(UTC) - timedelta(hours=1))
    for location in ("ccat_source", *BUFFERS, "cologne_processing"):
        observatory.run(deletion, location)
        assert set(package.statuses(location)) == {CopyStatus.DELETED}
    return package


def events(dts: Dts, word: str) -> list[dict[str, object]]:
    return list(json.loads(dts("history", word, "--json").out)["events"])


def test_the_whole_life_stands_in_one_screen(dts: Dts, package: Archived) -> None:
    told = dts("history", package.name)
    lines = told.out.splitlines()
    assert (told.code, told.err) == (0, "")
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 45
    assert "It is at cologne_archive, verified; us_archive, verified." in " ".join(told.out.split())
    assert [line for line in lines if "deleted at ccat_source: 2 files" in line]


def test_the_events_are_in_order_with_everything_that_happened(dts: Dts, package: Archived) -> None:
    told = events(dts, package.name)
    assert [each["at"] for each in told] == sorted(str(each["at"]) for each in told)
    happened = {(str(each["what"]), str(each["place"])) for each in told}
    assert {
        ("filed", "ccat_source"),
        ("packaged", "ccat_source"),
        ("bundled", "ccat_buffer"),
        ("bundled", "cologne_buffer"),
        ("arrived", "cologne_buffer"),
        ("arrived", "us_buffer"),
        ("verified", "cologne_buffer"),
        ("verified", "us_buffer"),
        ("archived", "cologne_archive"),
        ("archived", "us_archive"),
        ("staged", "cologne_processing"),
        *(("freed", place) for place in ("ccat_source", *BUFFERS, "cologne_processing")),
        *(("deleted", place) for place in ("ccat_source", *BUFFERS, "cologne_processing")),
    } == happened


def test_what_was_staged_again_is_told_with_what_it_went_through_before(
    dts: Dts, observatory: Observatory, package: Archived
) -> None:
    def at_processing() -> list[object]:
        return [
            each["what"]
            for each in events(dts, package.name)
            if each["place"] == "cologne_processing" and each["what"] in ("staged", "deleted")
        ]

    assert at_processing() == ["staged", "deleted"]
    for expected in (["deleted", "staged", "deleted"], ["deleted", "staged", "deleted", "staged", "deleted"]):
        job = package.staging_job(until=datetime.now(UTC) + timedelta(hours=1))
        assert observatory.run(staging, "cologne_processing").completed == 1
        assert at_processing() == expected[:-1]
        with observatory.engine.begin() as connection:
            connection.execute(text("update staging_job set state = 'released' where id = :id"), {"id": job})
        assert observatory.run(deletion, "cologne_processing").completed == 1
        assert at_processing() == expected


def test_what_only_began_to_come_is_not_told_as_staged(dts: Dts, observatory: Observatory) -> None:
    package = archived_package(observatory)
    package.stage()
    package.change_copy("cologne_processing", status=CopyStatus.DELETION_POSSIBLE, verified_at=None)
    assert "staged" not in {each["what"] for each in events(dts, package.name)}


def test_a_deletion_is_told_with_who_why_policy_evidence_and_run(dts: Dts, package: Archived) -> None:
    freed = next(each for each in events(dts, package.name) if each["what"] == "freed")
    record = package.records()[0]
    assert freed["by"] == "policy"
    assert freed["run_id"] == record.run_id
    assert f"policy version {record.topology_version_id}" in str(freed["said"])
    assert {copy["location"] for copy in freed["evidence"]} == {"cologne_archive", "us_archive"}  # type: ignore[attr-defined]
    assert f"(run {record.run_id})" in " ".join(dts("history", package.name).out.split())


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_a_file_is_found_by_its_path_and_by_its_uuid(dts: Dts, package: Archived, prefix: str) -> None:
    path = min(FILES)
    by_path = dts("history", prefix + path)
    assert by_path.out.splitlines()[0] == f"File {path}"
    assert f"It is in package {package.name}, whose life this is." in " ".join(by_path.out.split())
    uuid = str(package.manifest.members[0].raw_data_file_id)
    assert dts("history", prefix + uuid).out.startswith(f"File {package.manifest.members[0].path}")


def test_an_observation_is_told_by_what_happened_to_its_packages(
    dts: Dts, observatory: Observatory, package: Archived
) -> None:
    archived_package(observatory, {"second.g3": b"second"}, observation=package.observation)
    told = " ".join(dts("history", str(package.observation)).out.split())
    assert f"Observation {package.observation} 2 packages." in told
    assert "archived at us_archive: 2 packages, the last 20" in told
    assert "deleted at ccat_buffer: 1 file" in told


def test_what_people_said_is_part_of_it(dts: Dts, observatory: Observatory) -> None:
    package = archived_package(observatory)
    assert dts("pin", package.name, "--reason", "for a paper", "--by", "ada").code == 0
    assert dts("unpin", package.name, "--by", "ada").code == 0
    assert dts("delete", package.name, "--location", "us_buffer", "--yes", "--by", "jane", "--reason", "room").code == 0
    observatory.run(deletion, "us_buffer")
    told = " ".join(dts("history", package.name).out.split())
    assert "pinned by ada: until released: for a paper" in told
    assert "unpinned by ada" in told
    assert "asked at us_buffer by jane: its deletion: room" in told
    assert "freed at us_buffer by jane: 1 copy may go" in told


def test_the_brake_is_part_of_it(dts: Dts, observatory: Observatory) -> None:
    package = archived_package(observatory)
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                "with b as (insert into deletion_brake (data_location_id, requested_by, topology_version_id,"
                " policy_sha256, package_count, copy_count, size_bytes, why, answer, answered_at, answered_by, reason)"
                " select l.id, 'policy', v.id, 'x', 1, 1, 1, 'too much', 'refused', now(), 'jane', 'not yet'"
                " from data_location l, topology_version v where l.full_name = 'us_buffer' returning id)"
                " insert into deletion_brake_package select id, :package, 1, 1 from b"
            ),
            {"package": package.id},
        )
    told = " ".join(dts("history", package.name).out.split())
    assert "braked at us_buffer by policy: question 1 about 1 package" in told
    assert "refused at us_buffer by jane: question 1: not yet" in told


def test_a_word_that_means_nothing_is_named(dts: Dts, observatory: Observatory) -> None:
    unknown = dts("history", "00000000-0000-4000-8000-000000000000")
    assert (unknown.code, "knows no file, package or observation" in unknown.err) == (1, True)
    assert "There is no package 'nothing'" in dts("history", "nothing").err


def test_a_path_that_was_filed_twice_asks_which(dts: Dts, observatory: Observatory, package: Archived) -> None:
    archived_package(observatory)
    assert "was filed 2 times: name it by its UUID" in dts("history", min(FILES)).err
