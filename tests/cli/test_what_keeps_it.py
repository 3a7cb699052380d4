"""`dts explain PACKAGE` lets the deletion gate itself say what keeps each copy where it is, and changes nothing."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle.gate import Allowed
from include.ops_db.apply import apply_topology
from include.ops_db.places import location_id
from include.ops_db.states import Condition, CopyStatus
from include.ops_db.tables import LocationChange
from include.retention import Release, RetentionRule
from tests.cli.conftest import Dts, Night
from tests.lifecycle.archived import Archived, archived_package
from tests.lifecycle.test_pins import pin
from tests.observatory import Observatory

LOCAL = ("ccat_source", "ccat_buffer", "cologne_buffer", "us_buffer")
# All that a gate could have written.
WRITTEN = text(
    """
    select (select count(*) from deletion_record), (select count(*) from operation),
      (select string_agg(concat(id, status, wanted), ',' order by id) from physical_copy),
      (select count(*) from deletion_brake)
    """
)


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def with_policy(package: Archived, **changed: object) -> None:
    observatory = package.observatory
    policy = observatory.topology.policy.model_copy(update=changed)
    observatory.topology = observatory.topology.model_copy(update={"policy": policy})
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")


def written(package: Archived) -> tuple[object, ...]:
    with package.observatory.engine.connect() as connection:
        return tuple(connection.execute(WRITTEN).one())


def kept(dts: Dts, package: Archived) -> dict[str, str]:
    """What is said about each location; nothing is written meanwhile."""
    before = written(package)
    result = dts("explain", package.name)
    assert (result.code, result.err) == (0, "")
    assert written(package) == before
    lines = [line for line in result.out.splitlines() if line.startswith(("At ", "From "))]
    return {line.split()[1].rstrip(":"): line for line in lines}


def test_what_may_go_is_said_with_the_gates_reason_for_each_location_but_archives(dts: Dts, package: Archived) -> None:
    with_policy(package, brake=package.observatory.topology.policy.brake.model_copy(update={"share": 1.0}))
    said = kept(dts, package)
    assert sorted(said) == sorted(LOCAL)
    for location in LOCAL:
        answer = package.ask(location)
        assert isinstance(answer, Allowed)
        assert said[location] == f"From {location} it may go: {answer.reason}"


def test_what_keeps_it_is_the_gates_refusal_word_by_word(dts: Dts, package: Archived) -> None:
    rules = (
        RetentionRule(at="ccat_source", release=Release.BY_PRESSURE),
        RetentionRule(at="ccat_buffer", keep_days=30),
        RetentionRule(at="cologne_buffer", deletion_grace_seconds=10**6),
    )
    with_policy(package, retention=rules)
    pin(package, location="us_buffer")
    said = kept(dts, package)
    assert "retention rule 1 lets it go by pressure only" in said["ccat_source"]
    assert "Retention rule 2 keeps it" in said["ccat_buffer"].replace(package.name, "it")
    assert "stays for 1000000 seconds" in said["cologne_buffer"]
    assert "ada pinned" in said["us_buffer"]
    for location in LOCAL:
        assert said[location] == f"At {location} it stays: {package.refusal(location)}"


def test_under_pressure_the_gate_answers_otherwise(dts: Dts, package: Archived) -> None:
    with_policy(package, retention=(RetentionRule(release=Release.BY_PRESSURE),))
    with Session(package.observatory.engine) as session, session.begin():
        here = location_id(session, "us_buffer")
        session.add(LocationChange(data_location_id=here, condition=Condition.PRESSED, why="It is so."))
    said = kept(dts, package)
    assert said["us_buffer"].startswith("From us_buffer it may go:")
    assert "room is needed" in said["us_buffer"]
    assert said["cologne_buffer"].startswith("At cologne_buffer it stays:")


def test_no_scrub_is_asked_for_by_an_explanation(dts: Dts, package: Archived) -> None:
    with_policy(package, verified_within_days=30)
    package.change_copy("us_archive", verified_at=datetime.now(UTC) - timedelta(days=40))
    assert "They are read again first (scrubbing)." in kept(dts, package)["ccat_source"]


def test_a_copy_that_is_gone_needs_nothing_to_keep_it_and_a_damaged_one_does(dts: Dts, package: Archived) -> None:
    package.change_copy("us_buffer", status=CopyStatus.DELETED, deleted_at=datetime.now(UTC))
    package.change_copy("cologne_buffer", status=CopyStatus.CORRUPT)
    said = kept(dts, package)
    assert "us_buffer" not in said
    assert "cologne_buffer" in said


def test_what_would_need_a_persons_yes_says_so(dts: Dts, package: Archived) -> None:
    brake = package.observatory.topology.policy.brake.model_copy(update={"bytes": 1})
    with_policy(package, brake=brake)
    assert "A person would be asked first:" in kept(dts, package)["us_buffer"]


def test_nobody_waits_for_whoever_is_at_work_on_it(dts: Dts, package: Archived) -> None:
    with package.observatory.engine.begin() as connection:
        connection.execute(text("select from raw_data_package where id = :id for no key update"), {"id": package.id})
        began = time.monotonic()
        said = kept(dts, package)
        assert time.monotonic() - began < 8, "ten seconds are what ops-db allows for one lock"
    assert sorted(said) == sorted(LOCAL)
    assert all("somebody is at work on it just now" in sentence for sentence in said.values())


def test_a_package_that_is_not_archived_stays(dts: Dts, night: Night) -> None:
    out = dts("explain", night.waiting).out
    assert f"At ccat_source it stays: {night.waiting} is waiting, not archived" in out


def test_an_observation_points_to_its_packages(dts: Dts, night: Night) -> None:
    assert "What keeps a package where it is: `dts explain PACKAGE`." in dts("explain", str(night.observation)).out
