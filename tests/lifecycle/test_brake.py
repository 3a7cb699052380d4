"""The brake: what would delete too much of a location at once waits for a person, and a no is remembered."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle.brake import too_much
from include.lifecycle.brake_answers import answer, asked_packages, in_markdown, lift, question, questions, take_unasked
from include.ops_db.apply import apply_topology
from include.ops_db.states import BrakeAnswer, CopyStatus, PackageState
from include.policy import Brake
from include.stages import deletion
from include.topology import OperationKind, Watermarks
from tests.lifecycle.archived import Archived, archived_package
from tests.observatory import Observatory

HERE = "cologne_buffer"


@pytest.fixture
def observatory(engine: Engine, tmp_path) -> Observatory:
    """Two packages may go at once, not three: each tar has 10,240 bytes, its raw file 9,000."""
    return Observatory.build(engine, tmp_path / "observatory", brake={"share": 1, "bytes": 28_000})


def some_packages(observatory: Observatory, count: int) -> list[Archived]:
    return [archived_package(observatory, {f"{number}.g3": b"x" * 9000}) for number in range(count)]


def deleted(packages: list[Archived]) -> list[bool]:
    return [package.statuses(HERE) == [CopyStatus.DELETED] for package in packages]


def say(observatory: Observatory, said: BrakeAnswer, *, person: str = "jane", reason: str = "I looked") -> int:
    with observatory.engine.begin() as connection:
        (asked,) = questions(connection)
        answer(connection, asked.id, said, person=person, reason=reason)
    return asked.id


def pending(observatory: Observatory) -> list[int]:
    with observatory.engine.connect() as connection:
        return [asked.id for asked in questions(connection)]


def change_policy(observatory: Observatory, **numbers: object) -> None:
    policy = observatory.topology.policy.model_copy(update=numbers)
    observatory.topology = observatory.topology.model_copy(update={"policy": policy})
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")


def test_what_is_below_the_limits_goes_without_a_question(observatory):
    packages = some_packages(observatory, 2)
    observatory.run(deletion, HERE)
    assert deleted(packages) == [True, True]
    assert pending(observatory) == []


def test_too_much_at_once_waits_for_a_person_and_the_question_has_the_list(observatory):
    packages = some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    observatory.run(deletion, HERE)

    assert deleted(packages) == [False] * 3
    assert observatory.operations(OperationKind.DELETION) == []
    (number,) = pending(observatory)
    with observatory.engine.connect() as connection:
        asked = question(connection, number)
        listed = asked_packages(connection, number)
    assert (asked.package_count, asked.copy_count) == (3, 3)
    assert asked.size_bytes == sum(len(package.content) for package in packages)
    assert {row.name for row in listed} == {package.name for package in packages}
    assert "policy allows 28.0 kB" in asked.why
    shown = in_markdown(asked, listed[:2])
    assert f"And 1 more. The whole list is in this task's log and in `dts brake show {number}`" in shown
    assert listed[0].name in shown
    assert asked.why in shown


def test_other_locations_go_on_while_one_waits(observatory):
    packages = some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    observatory.run(deletion, "ccat_source")  # raw files are smaller than tars
    assert all(set(package.statuses("ccat_source")) == {CopyStatus.DELETED} for package in packages)


def test_a_yes_lets_exactly_the_list_through_the_gate_which_still_asks(observatory):
    packages = some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    say(observatory, BrakeAnswer.APPROVED)
    packages[1].change_copy("us_archive", status=CopyStatus.CORRUPT)
    later = some_packages(observatory, 3)
    observatory.run(deletion, HERE)

    assert deleted(packages) == [True, False, True]
    assert deleted(later) == [False] * 3
    assert len(pending(observatory)) == 1, "what was not on the list is asked about by itself"


def test_a_yes_is_used_up_by_the_deletion_that_it_allowed(observatory):
    packages = some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    say(observatory, BrakeAnswer.APPROVED)
    observatory.run(deletion, HERE)
    assert deleted(packages) == [True] * 3
    for package in packages:
        package.change_copy(HERE, status=CopyStatus.PRESENT, deleted_at=None)
    observatory.run(deletion, HERE)
    assert len(pending(observatory)) == 1


def test_a_no_is_remembered_and_what_is_new_goes_on(observatory):
    packages = some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    number = say(observatory, BrakeAnswer.REFUSED)
    newer = some_packages(observatory, 1)
    observatory.run(deletion, HERE)

    assert deleted(packages) == [False] * 3
    assert deleted(newer) == [True]
    assert pending(observatory) == []
    with observatory.engine.begin() as connection:
        lifted = lift(connection, number, person="joe", reason="the disk is full")
    assert "joe lifted that" in lifted.sentence
    observatory.run(deletion, HERE)
    assert len(pending(observatory)) == 1


def test_a_change_of_policy_forgets_a_no_and_asks_an_open_question_anew(observatory):
    packages = some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    refused = say(observatory, BrakeAnswer.REFUSED)
    change_policy(observatory, brake=Brake(share=1, bytes=29_000))
    observatory.run(deletion, HERE)
    (asked,) = pending(observatory)
    assert asked != refused
    with observatory.engine.connect() as connection:
        assert question(connection, refused).lifted_by == "policy"

    change_policy(observatory, brake=Brake(share=1, bytes=10**9))
    observatory.run(deletion, HERE)
    assert deleted(packages) == [True] * 3
    with observatory.engine.connect() as connection:
        assert question(connection, asked).answer is BrakeAnswer.WITHDRAWN


def test_changing_what_has_nothing_to_do_with_deletion_forgets_nothing(observatory):
    some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    say(observatory, BrakeAnswer.REFUSED)
    host = observatory.topology.hosts[0].model_copy(update={"concurrency": 7})
    observatory.topology = observatory.topology.model_copy(update={"hosts": (host, *observatory.topology.hosts[1:])})
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")
    observatory.run(deletion, HERE)
    assert pending(observatory) == []


def test_nor_do_policys_other_numbers(observatory):
    packages = some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    say(observatory, BrakeAnswer.REFUSED)
    change_policy(observatory, bundle_max_bytes=7 * 10**9, clock_seconds=60, scrub_after_days=90)
    packages[0].change(archived_at=datetime.now(UTC) + timedelta(hours=1))  # what is left would pass the brake
    observatory.run(deletion, HERE)
    assert deleted(packages) == [False] * 3
    assert pending(observatory) == []


def test_other_watermarks_make_it_another_question(observatory):
    some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    first = say(observatory, BrakeAnswer.REFUSED)
    marks = Watermarks(low=0.1, high=0.2, critical=0.3)
    places = [
        each.model_copy(update={"watermarks": marks}) if each.full_name == HERE else each
        for each in observatory.topology.data_locations
    ]
    observatory.topology = observatory.topology.model_copy(update={"data_locations": tuple(places)})
    change_policy(observatory)
    observatory.run(deletion, HERE)
    assert pending(observatory) == [first + 1]


def test_what_is_under_way_counts_so_that_nobody_slips_through_in_slices(observatory):
    """Planned and not done yet, as where a worker is down: the next slice is added to it."""
    first = some_packages(observatory, 2)
    observatory.plan(deletion, HERE)
    second = some_packages(observatory, 2)
    observatory.plan(deletion, HERE)

    planned = {operation.raw_data_package_id for operation in observatory.operations(OperationKind.DELETION)}
    assert planned == {package.id for package in first}
    (number,) = pending(observatory)
    with observatory.engine.connect() as connection:
        assert {row.name for row in asked_packages(connection, number)} == {package.name for package in second}
        assert "whose deletion is under way" in question(connection, number).why


def test_a_deletion_that_had_begun_goes_on_whatever_the_brake_says(observatory):
    packages = some_packages(observatory, 3)
    for package in packages:
        package.change_copy(HERE, status=CopyStatus.DELETION_IN_PROGRESS)
    observatory.run(deletion, HERE)
    assert deleted(packages) == [True] * 3


def test_the_share_is_of_the_room_as_measured_else_of_what_is_stored(observatory):
    change_policy(observatory, brake=Brake(share=0.5))
    packages = some_packages(observatory, 1)
    observatory.plan(deletion, HERE)
    (number,) = pending(observatory)  # all that is stored there
    with observatory.engine.begin() as connection:
        assert question(connection, number).location_bytes == len(packages[0].content)
        answer(connection, number, BrakeAnswer.REFUSED, person="jane", reason="")
        lift(connection, number, person="jane", reason="")
        connection.execute(
            text(
                "insert into location_measurement (data_location_id, host, total_bytes, used_bytes, stored_bytes,"
                " stored_copies, counted_at)"
                " select id, 'cologne', 1000000, 0, 0, 0, now() from data_location where full_name = :here"
            ),
            {"here": HERE},
        )
    observatory.run(deletion, HERE)
    assert deleted(packages) == [True]


@pytest.mark.parametrize(
    ("going", "under_way", "room", "stopped"),
    [(100, 0, 400, False), (101, 0, 400, True), (50, 51, 400, True), (100, 0, None, False), (201, 0, None, True)],
)
def test_the_smaller_of_both_limits_counts(going, under_way, room, stopped):
    brake = Brake(share=0.25, bytes=200)
    over = too_much(brake, going=going, under_way=under_way, room=room, where="here")
    assert (over is not None) == stopped


def test_whoever_answers_first_is_heard(observatory):
    some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    number = say(observatory, BrakeAnswer.APPROVED)
    with observatory.engine.begin() as connection, pytest.raises(BadInputError, match="approved by jane"):
        answer(connection, number, BrakeAnswer.REFUSED, person="joe", reason="no")
    with observatory.engine.begin() as connection, pytest.raises(BadInputError, match="Only a refusal"):
        lift(connection, number, person="joe", reason="no")
    with observatory.engine.begin() as connection, pytest.raises(BadInputError, match="There is no question 4711"):
        answer(connection, 4711, BrakeAnswer.REFUSED, person="joe", reason="no")


@pytest.mark.parametrize(
    "change",
    [
        "update deletion_brake set answer = 'refused'",
        "update deletion_brake set answered_by = 'joe'",
        "update deletion_brake set size_bytes = 1",
        "delete from deletion_brake",
        "delete from deletion_brake_package",
        "update deletion_brake_package set size_bytes = 1",
    ],
)
def test_what_was_asked_and_answered_is_never_changed(observatory, change):
    some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    say(observatory, BrakeAnswer.APPROVED)
    with observatory.engine.begin() as connection, pytest.raises(DBAPIError, match="never changed"):
        connection.execute(text(change))


def test_a_question_is_shown_by_one_run_and_again_once_that_has_ended(observatory):
    some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    (number,) = pending(observatory)
    with observatory.engine.begin() as connection:
        assert take_unasked(connection, run_id="first", ended=[]) == [number]
        assert take_unasked(connection, run_id="second", ended=[]) == []
        assert take_unasked(connection, run_id="second", ended=["first"]) == [number]
    say(observatory, BrakeAnswer.REFUSED)
    with observatory.engine.begin() as connection:
        assert take_unasked(connection, run_id="third", ended=["second"]) == []


def test_packages_that_are_not_archived_yet_are_in_no_question(observatory):
    packages = some_packages(observatory, 4)
    packages[0].change(state=PackageState.TRANSFERRING, archived_at=None)
    packages[1].change(archived_at=datetime(2999, 1, 1, tzinfo=UTC))
    observatory.run(deletion, HERE)
    assert deleted(packages) == [False, False, True, True]


def test_what_is_held_back_hides_nothing_behind_it(observatory, monkeypatch):
    """A plan looks at so many packages at most: those that may not go anyway must not use that up."""
    monkeypatch.setattr(deletion, "PACKAGES_A_QUESTION", 3)
    some_packages(observatory, 3)
    observatory.run(deletion, HERE)
    say(observatory, BrakeAnswer.REFUSED)
    newer = some_packages(observatory, 1)
    observatory.run(deletion, HERE)
    assert deleted(newer) == [True]
