"""Deletion by pressure frees as much as leads from above the high mark down to the low one, and nothing twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from include.lifecycle.pressure import how_much_to_free
from include.lifecycle.preview import preview
from include.ops_db.places import location_id
from include.ops_db.states import Condition, CopyStatus, WorkStatus
from include.ops_db.tables import LocationChange, Operation
from include.policy import Policy
from include.stages import deletion
from include.topology import OperationKind, Watermarks
from tests.lifecycle.archived import archived_package
from tests.lifecycle.small_disk import SIZE_BYTES, small_disk
from tests.lifecycle.test_measuring import look, night_of, with_watermarks
from tests.observatory import Observatory
from tests.stages.bundled import add_copy, add_package

BUFFER = "cologne_buffer"


def pressed(observatory: Observatory, *, used: int, condition: Condition = Condition.PRESSED) -> None:
    """Of 10,000 bytes so many are used."""
    with_watermarks(observatory)
    night_of(observatory, used=[used], hours=0)
    say_condition(observatory, condition)


def say_condition(observatory: Observatory, condition: Condition) -> None:
    with Session(observatory.engine) as session, session.begin():
        session.add(LocationChange(data_location_id=location_id(session, BUFFER), condition=condition, why="It is so."))


def to_free(observatory: Observatory, full_name: str = BUFFER) -> int:
    with Session(observatory.engine) as session:
        return how_much_to_free(session, location=observatory.topology.location(full_name))


def deleting(observatory: Observatory, package: int, *, status: WorkStatus, attempts: int = 0) -> None:
    with Session(observatory.engine) as session, session.begin():
        session.add(
            Operation(
                kind=OperationKind.DELETION,
                data_location_id=location_id(session, BUFFER),
                raw_data_package_id=package,
                status=status,
                attempt_count=attempts,
                explanation="It goes.",
            )
        )


@pytest.mark.parametrize(
    ("used", "condition", "expected"),
    [
        (8600, Condition.PRESSED, 1600),
        (9600, Condition.FULL, 2600),
        (7100, Condition.PRESSED, 100),
        (6900, Condition.PRESSED, 0),
        (8400, Condition.WELL, 0),
        (9600, Condition.GONE, 0),
        (9600, Condition.READ_ONLY, 0),
    ],
)
def test_down_to_the_low_mark_and_no_further(
    observatory: Observatory, used: int, condition: Condition, expected: int
) -> None:
    pressed(observatory, used=used, condition=condition)
    assert to_free(observatory) == expected


def test_where_nobody_has_looked_nothing_is_freed(observatory: Observatory) -> None:
    assert to_free(observatory) == 0


@pytest.mark.parametrize(
    ("status", "attempts", "left"),
    [
        (WorkStatus.PENDING, 0, 600),
        (WorkStatus.SCHEDULED, 1, 600),
        (WorkStatus.IN_PROGRESS, 1, 600),
        (WorkStatus.PENDING, 1, 1600),  # the gate has refused it
        (WorkStatus.FAILED, 1, 1600),
        (WorkStatus.COMPLETED, 1, 1600),
    ],
)
def test_what_is_on_its_way_out_is_not_freed_again(
    observatory: Observatory, status: WorkStatus, attempts: int, left: int
) -> None:
    pressed(observatory, used=8600)
    package = add_package(observatory, size=1000)
    add_copy(observatory, package, BUFFER)
    with observatory.engine.begin() as connection:
        connection.execute(text("update physical_copy set size_bytes = 1000"))
    deleting(observatory, package, status=status, attempts=attempts)
    assert to_free(observatory) == left


def test_what_went_since_somebody_looked_is_not_freed_again(observatory: Observatory) -> None:
    pressed(observatory, used=8600)
    package = add_package(observatory, size=1000)
    add_copy(observatory, package, BUFFER, status=CopyStatus.DELETED)
    with observatory.engine.begin() as connection:
        connection.execute(
            text("update physical_copy set size_bytes = 1000, deleted_at = :now where status = 'deleted'"),
            {"now": datetime.now(UTC)},
        )
    assert to_free(observatory) == 600


def test_an_archive_is_never_pressed(observatory: Observatory) -> None:
    assert observatory.topology.location("cologne_archive").watermarks != Watermarks()
    assert to_free(observatory, "cologne_archive") == 0


# On a real disk


@pytest.fixture
def by_pressure(engine: Engine, tmp_path: Path) -> Iterator[Observatory]:
    """What lies in buffers goes by pressure only; cologne's is a small disk."""
    observatory = Observatory.build(
        engine,
        tmp_path / "pressed",
        retention=[{"at": "buffer", "release": "by_pressure"}],
        brake={"share": 1.0},
    )
    with_watermarks(observatory)
    with small_disk(observatory.folder(BUFFER)):
        yield observatory


def test_the_oldest_goes_first_and_only_as_much_as_needed(by_pressure: Observatory) -> None:
    size = int(SIZE_BYTES * 0.1) - 12_000
    now = datetime.now(UTC)
    archived = [
        archived_package(by_pressure, {f"{number}.g3": bytes(size)}, archived_at=now - timedelta(hours=number))
        for number in range(8)
    ]
    assert look(by_pressure).condition is Condition.WELL
    assert by_pressure.run(deletion, BUFFER).completed == 0

    archived.append(archived_package(by_pressure, {"8.g3": bytes(size)}, archived_at=now - timedelta(hours=8)))
    pressed = look(by_pressure)
    assert pressed.condition is Condition.PRESSED
    assert pressed.share is not None
    assert 0.85 < pressed.share < 0.95
    assert by_pressure.run(deletion, BUFFER).completed == 2
    gone = [package.statuses(BUFFER) == [CopyStatus.DELETED] for package in archived]
    assert gone == [False] * 7 + [True] * 2
    assert by_pressure.run(deletion, BUFFER).completed == 0  # nobody has looked again yet

    relieved = look(by_pressure)
    assert relieved.condition is Condition.WELL
    assert relieved.share is not None
    assert 0.6 < relieved.share < 0.7
    assert by_pressure.run(deletion, BUFFER).completed == 0


def by_pressure_only(observatory: Observatory) -> None:
    rules = [{"at": "buffer", "release": "by_pressure"}]
    policy = observatory.topology.policy.model_dump() | {"retention": rules, "brake": {"share": 1.0}}
    observatory.topology = observatory.topology.model_copy(update={"policy": Policy.model_validate(policy)})


def test_a_dry_run_tells_what_is_chosen_to_make_room_and_no_more(observatory: Observatory) -> None:
    by_pressure_only(observatory)
    now = datetime.now(UTC)
    young, middle, old = (
        archived_package(observatory, archived_at=now - timedelta(hours=hours)) for hours in (1, 2, 3)
    )
    pressed(observatory, used=7100)
    place = observatory.topology.location(BUFFER)

    def would_go(*names: str) -> list[str]:
        with Session(observatory.engine) as session:
            answers = preview(session, topology=observatory.topology, location=place, packages=names)
        return [answer.package for answer in answers if answer.may_go]

    assert would_go() == [old.name]
    assert would_go(young.name, middle.name) == [young.name, middle.name], "a person's wish makes room, too"
    (batch,) = observatory.plan(deletion, BUFFER).batches
    assert would_go() == [old.name], "it is on its way"
    observatory.runner(deletion, BUFFER).run(batch)
    assert [each.statuses(BUFFER) for each in (young, middle, old)] == [
        [CopyStatus.PRESENT],
        [CopyStatus.PRESENT],
        [CopyStatus.DELETED],
    ]


def test_what_need_not_go_any_more_is_planned_anew_and_never_goes_besides_what_the_next_pressure_takes(
    observatory: Observatory,
) -> None:
    by_pressure_only(observatory)
    now = datetime.now(UTC)
    young = archived_package(observatory, archived_at=now - timedelta(hours=1))
    pressed(observatory, used=7100)
    batches = observatory.plan(deletion, BUFFER).batches
    assert len(batches) == 1

    say_condition(observatory, Condition.WELL)
    observatory.runner(deletion, BUFFER).run(batches[0])
    assert young.statuses(BUFFER) == [CopyStatus.PRESENT]
    (stays,) = observatory.operations(OperationKind.DELETION)
    assert stays.status is WorkStatus.COMPLETED
    assert "stays at cologne_buffer while there is room" in stays.explanation

    old = archived_package(observatory, archived_at=now - timedelta(hours=2))
    say_condition(observatory, Condition.PRESSED)
    observatory.run(deletion, BUFFER)
    assert (old.statuses(BUFFER), young.statuses(BUFFER)) == ([CopyStatus.DELETED], [CopyStatus.PRESENT])
