"""What another topology would free or keep is told beforehand, by the gate itself, and nothing changes by asking."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle.brake_answers import answer, questions
from include.lifecycle.policy_diff import Difference, differences
from include.ops_db.apply import apply_topology
from include.ops_db.states import BrakeAnswer, CopyStatus
from include.policy import Brake
from include.retention import Release, RetentionRule
from include.stages import deletion
from include.topology import Topology, Watermarks
from tests.lifecycle.archived import FILES, Archived, archived_package
from tests.lifecycle.test_measuring import night_of, with_watermarks
from tests.observatory import Observatory


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory, archived_at=datetime.now(UTC) - timedelta(days=10))


def with_policy(observatory: Observatory, *rules: RetentionRule, **policy: object) -> Topology:
    changed = observatory.topology.policy.model_copy(update={"retention": rules, **policy})
    return observatory.topology.model_copy(update={"policy": changed})


def apply(observatory: Observatory, topology: Topology) -> None:
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, topology, applied_by="tests")
    observatory.topology = topology


def diff(observatory: Observatory, new: Topology) -> dict[str, Difference]:
    """Those that change anything, by location."""
    with Session(observatory.engine) as session:
        found = differences(session, applied=observatory.topology, new=new)
        assert session.execute(text("select count(*) from deletion_record")).scalar_one() == 0
        session.commit()
    with observatory.engine.connect() as connection:
        begun = "select count(*) from physical_copy where status <> 'present'"
        assert connection.execute(text(begun)).scalar_one() == 0, "it only looks"
    return {each.location: each for each in found if each.freed.packages or each.kept.packages}


def test_a_shorter_time_frees(observatory, package):
    apply(observatory, with_policy(observatory, RetentionRule(at="source", keep_days=30), RetentionRule(keep_days=60)))
    found = diff(
        observatory, with_policy(observatory, RetentionRule(at="source", keep_days=5), RetentionRule(keep_days=60))
    )
    assert list(found) == ["ccat_source"]
    freed = found["ccat_source"].freed
    assert (freed.packages, freed.copies, freed.size_bytes) == (1, len(FILES), sum(map(len, FILES.values())))
    assert freed.examples == (package.name,)
    assert found["ccat_source"].kept.packages == 0


def test_a_longer_time_keeps(observatory, package):
    found = diff(observatory, with_policy(observatory, RetentionRule(at="buffer", keep_days=30)))
    assert {name: each.kept.packages for name, each in found.items()} == {
        "ccat_buffer": 1,
        "cologne_buffer": 1,
        "us_buffer": 1,
    }
    assert all(each.over is None for each in found.values())


def test_the_gate_answers_not_the_query_alone(observatory, package):
    """A copy that another archive still gets its own from stays, whatever the number of copies asked for."""
    package.change_copy("us_archive", verified_at=None)
    found = diff(observatory, with_policy(observatory, archive_copies=1, archive_sites=1))
    assert set(found) == {"ccat_source", "ccat_buffer"}, "cologne_buffer and us_buffer have to fill us_archive yet"


def test_rules_that_only_stand_elsewhere_change_nothing(observatory, package):
    keeps = RetentionRule(at="source", keep_days=30)
    apply(observatory, with_policy(observatory, keeps))
    assert diff(observatory, with_policy(observatory, RetentionRule(instrument="chai", keep_days=3), keeps)) == {}


def test_what_could_go_under_pressure_is_told(observatory, package):
    apply(observatory, with_policy(observatory, deletion_grace_seconds=20 * 86_400))
    new = with_policy(observatory, RetentionRule(release=Release.BY_PRESSURE), deletion_grace_seconds=0)
    with Session(observatory.engine) as session:
        found = {each.location: each for each in differences(session, applied=observatory.topology, new=new)}
    assert found["ccat_buffer"].freed.packages == found["ccat_buffer"].pressed_before.packages == 0
    assert found["ccat_buffer"].pressed_after.size_bytes == len(package.content)


def test_more_than_the_applied_brake_allows_is_said_whatever_the_new_one_allows(observatory, package):
    apply(observatory, with_policy(observatory, RetentionRule(keep_days=30), brake=Brake(share=1, bytes=100)))
    found = diff(observatory, with_policy(observatory, brake=Brake(share=1)))
    over = found["ccat_source"].over
    assert over is not None
    assert "would go from ccat_source at once; policy allows 100 B" in over.why


def test_what_is_corrupt_in_an_archive_is_freed_by_no_policy(observatory, package):
    apply(observatory, with_policy(observatory, RetentionRule(keep_days=30)))
    package.change_copy("us_archive", checksum="xxh3-128:0")
    package.change_copy("us_archive", status=CopyStatus.PRESENT)
    assert diff(observatory, with_policy(observatory)) == {}


def test_what_lower_watermarks_would_free_at_once_is_told(observatory, package):
    """8 of 10 kB are used: too full by the new marks, so the older of two goes, and no more."""
    apply(observatory, with_policy(observatory, RetentionRule(release=Release.BY_PRESSURE)))
    older = archived_package(observatory, archived_at=datetime.now(UTC) - timedelta(days=11))
    with_watermarks(observatory)
    night_of(observatory, used=[8000], hours=0)
    marks = Watermarks(low=0.5, high=0.6, critical=0.9)
    places = [each.model_copy(update={"watermarks": marks}) for each in observatory.topology.data_locations]
    new = observatory.topology.model_copy(update={"data_locations": tuple(places)})
    found = diff(observatory, new)
    assert list(found) == ["cologne_buffer"], "nobody has measured another"
    assert found["cologne_buffer"].freed.examples == (older.name,)
    assert diff(observatory, observatory.topology) == {}


def test_what_the_brake_holds_back_and_another_policy_would_let_go_is_told(observatory, package):
    apply(observatory, with_policy(observatory, brake=Brake(share=1, bytes=100)))
    observatory.plan(deletion, "us_buffer")
    with observatory.engine.begin() as connection:
        (asked,) = questions(connection)
        answer(connection, asked.id, BrakeAnswer.REFUSED, person="jane", reason="I looked.")
    same = with_policy(observatory, clock_seconds=60)
    assert "us_buffer" not in diff(observatory, same)
    found = diff(observatory, with_policy(observatory, brake=Brake(share=1)))
    assert found["us_buffer"].freed.examples == (package.name,)
    assert found["us_buffer"].over is not None
