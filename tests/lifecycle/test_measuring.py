"""Locations are measured on real small disks; what is full, read-only or gone is on record, and comes back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.orm import Session

from include.lifecycle.measuring import measure, somebody_should_look
from include.ops_db.apply import apply_topology
from include.ops_db.measurements import HowFull, how_full
from include.ops_db.states import Condition, CopyStatus
from include.ops_db.tables import LocationChange, LocationMeasurement
from include.storage.disk import DiskStorage
from include.topology import DataLocation, S3Storage, Topology, Watermarks
from tests.lifecycle.small_disk import SIZE_BYTES, SmallDisk, small_disk
from tests.observatory import Observatory
from tests.stages.bundled import add_copy, add_package

BUFFER = "cologne_buffer"


def with_watermarks(observatory: Observatory) -> None:
    """Give every location the default watermarks; the sandbox's are those of somebody else's disk."""
    changed = tuple(
        location.model_copy(update={"watermarks": Watermarks()}) for location in observatory.topology.data_locations
    )
    apply(observatory, observatory.topology.model_copy(update={"data_locations": changed}))


def apply(observatory: Observatory, topology: Topology) -> None:
    observatory.topology = Topology.model_validate(topology.model_dump())
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")


@pytest.fixture
def disk(observatory: Observatory) -> Iterator[SmallDisk]:
    with_watermarks(observatory)
    with small_disk(observatory.folder(BUFFER)) as mounted:
        yield mounted


def location(observatory: Observatory, full_name: str = BUFFER) -> DataLocation:
    return observatory.topology.location(full_name)


def look(observatory: Observatory, full_name: str = BUFFER) -> HowFull:
    """Measure as if the last time were long ago; return what is known then."""
    with observatory.engine.begin() as connection:
        connection.execute(text("update location_measurement set measured_at = measured_at - interval '1 hour'"))
    measure(
        observatory.engine,
        location=location(observatory, full_name),
        storage=lambda: observatory.storage_of(full_name),
        host="cologne",
    )
    with Session(observatory.engine) as session:
        return how_full(session)[full_name]


def changes(engine: Engine) -> list[tuple[Condition, str]]:
    with Session(engine) as session:
        return [(row.condition, row.why) for row in session.scalars(select(LocationChange).order_by(LocationChange.id))]


def test_what_is_there_is_measured(observatory: Observatory, disk: SmallDisk) -> None:
    disk.fill(0.5)
    package = add_package(observatory, size=700)
    add_copy(observatory, package, BUFFER)
    seen = look(observatory)
    assert (seen.total_bytes, seen.stored_bytes, seen.stored_copies) == (SIZE_BYTES, 700, 1)
    assert seen.share == pytest.approx(0.5, abs=0.01)
    assert seen.free_bytes == pytest.approx(SIZE_BYTES / 2, rel=0.02)
    assert (seen.condition, changes(observatory.engine)) == (Condition.WELL, [])


def test_a_location_is_measured_once_a_minute_at_most(observatory: Observatory) -> None:
    storage = observatory.storage_of(BUFFER)
    for _ in range(3):
        measure(observatory.engine, location=location(observatory), storage=lambda: storage, host="cologne")
    with Session(observatory.engine) as session:
        assert len(session.scalars(select(LocationMeasurement)).all()) == 1


def test_it_is_pressed_from_the_high_mark_down_to_the_low_one(observatory: Observatory, disk: SmallDisk) -> None:
    found = []
    for share in (0.84, 0.86, 0.84, 0.72, 0.69, 0.84):
        disk.fill(share)
        found.append(look(observatory).condition)
    pressed, well = Condition.PRESSED, Condition.WELL
    assert found == [well, pressed, pressed, pressed, well, well]
    (first, why), (second, _) = changes(observatory.engine)
    assert (first, second) == (pressed, well)
    assert why.startswith(f"{BUFFER} is 86% full (")
    assert why.endswith("above its high mark of 85%: what may go is deleted, down to 70%.")


def test_it_is_full_from_the_critical_mark_down_to_the_low_one(observatory: Observatory, disk: SmallDisk) -> None:
    found = []
    for share in (0.96, 0.9, 0.72, 0.69):
        disk.fill(share)
        found.append(look(observatory).condition)
    assert found == [Condition.FULL] * 3 + [Condition.WELL]
    assert [condition for condition, _ in changes(observatory.engine)] == [Condition.FULL, Condition.WELL]


def test_what_was_full_before_it_was_gone_is_full_until_it_is_below_its_low_mark(
    observatory: Observatory, disk: SmallDisk, tmp_path: Path
) -> None:
    disk.fill(0.96)
    assert look(observatory).condition is Condition.FULL
    with observatory.engine.begin() as connection:
        gone = "insert into location_change (data_location_id, condition, why) select id, 'gone', 'Away.'"
        connection.execute(text(f"{gone} from data_location where full_name = :name"), {"name": BUFFER})
    disk.fill(0.8)
    assert look(observatory).condition is Condition.FULL
    disk.fill(0.69)
    assert look(observatory).condition is Condition.WELL


def test_a_disk_that_is_mounted_read_only_is_known_and_comes_back(observatory: Observatory, disk: SmallDisk) -> None:
    disk.remount("ro")
    assert look(observatory).condition is Condition.READ_ONLY
    disk.remount("rw")
    assert look(observatory).condition is Condition.WELL
    assert changes(observatory.engine)[0] == (
        Condition.READ_ONLY,
        f"{BUFFER} is mounted read-only: look at its disk.",
    )


def test_a_disk_whose_folder_is_gone_is_known_with_what_was_last_seen(observatory: Observatory, tmp_path: Path) -> None:
    before = look(observatory)
    observatory.folder(BUFFER).rename(tmp_path / "away")
    gone = look(observatory)
    assert gone.condition is Condition.GONE
    assert (gone.used_bytes, gone.seen_at) == (before.used_bytes, before.measured_at - timedelta(hours=1))
    assert "is its disk mounted" in gone.why
    (tmp_path / "away").rename(observatory.folder(BUFFER))
    assert look(observatory).condition is Condition.WELL


def test_an_archive_is_used_by_what_the_catalogue_says_and_full_by_its_quota(observatory: Observatory) -> None:
    with_watermarks(observatory)
    add_copy(observatory, add_package(observatory, size=960), "cologne_archive")
    assert look(observatory, "cologne_archive").share is None
    quota = S3Storage(type="s3", bucket="cologne-archive", capacity_bytes=1000)
    changed = tuple(
        each.model_copy(update={"storage": quota}) if each.full_name == "cologne_archive" else each
        for each in observatory.topology.data_locations
    )
    apply(observatory, observatory.topology.model_copy(update={"data_locations": changed}))
    seen = look(observatory, "cologne_archive")
    assert (seen.share, seen.condition) == (0.96, Condition.FULL)


def test_the_catalogue_is_counted_every_ten_minutes_only(observatory: Observatory) -> None:
    package = add_package(observatory, size=10)
    assert look(observatory).stored_bytes == 0
    add_copy(observatory, package, BUFFER)
    assert look(observatory).stored_bytes == 0
    with Session(observatory.engine) as session, session.begin():
        session.execute(update(LocationMeasurement).values(counted_at=datetime.now(UTC) - timedelta(minutes=11)))
    assert look(observatory).stored_bytes == 10


@pytest.mark.parametrize("status", [CopyStatus.MISSING, CopyStatus.DELETED])
def test_what_is_not_there_is_not_counted(observatory: Observatory, status: CopyStatus) -> None:
    add_copy(observatory, add_package(observatory), BUFFER, status=status)
    assert look(observatory).stored_copies == 0


def test_rates_come_from_the_disk_and_from_what_was_deleted(observatory: Observatory) -> None:
    """In an hour the disk grew by 400 bytes although 3,200 of ours went: 3,600 came in."""
    package = add_package(observatory, size=3200)
    add_copy(observatory, package, BUFFER)
    night_of(observatory, used=[1000, 1400], hours=1)
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                "update physical_copy set status = 'deleted', deleted_at = now() - interval '10 minutes'"
                " where data_location_id = (select id from data_location where full_name = :here)"
            ),
            {"here": BUFFER},
        )
    with Session(observatory.engine) as session:
        known = how_full(session)[BUFFER]
    assert (known.in_rate, known.out_rate) == (pytest.approx(1), pytest.approx(3200 / 3600))
    assert known.net_rate == pytest.approx(400 / 3600)
    full_at = known.full_at(rate=known.net_rate)
    assert full_at is not None
    assert known.seen_at is not None
    assert full_at - known.seen_at == timedelta(seconds=(10_000 - 1400) / (400 / 3600))


def test_from_a_few_minutes_nobody_tells_a_rate(observatory: Observatory) -> None:
    night_of(observatory, used=[1000, 9000], hours=0.1)
    with Session(observatory.engine) as session:
        known = how_full(session)[BUFFER]
    assert (known.in_rate, known.out_rate, known.net_rate) == (None, None, None)


def test_what_was_seen_the_day_before_says_nothing_of_the_present_rate(observatory: Observatory) -> None:
    night_of(observatory, used=[0, 5000], hours=24)
    with Session(observatory.engine) as session:
        assert how_full(session)[BUFFER].net_rate is None


def night_of(
    observatory: Observatory, *, used: list[int], hours: float, total: int = 10_000, full_name: str = BUFFER
) -> None:
    """Measurements of a location over the last hours, at equal distances."""
    now = datetime.now(UTC)
    with observatory.engine.begin() as connection:
        for number, bytes_ in enumerate(used):
            connection.execute(
                text(
                    "insert into location_measurement (data_location_id, measured_at, host, total_bytes, used_bytes,"
                    " stored_bytes, stored_copies, counted_at)"
                    " select id, :at, 'cologne', :total, :used, 0, 0, :at from data_location where full_name = :name"
                ),
                {
                    "at": now - timedelta(hours=hours * (1 - number / max(len(used) - 1, 1))),
                    "total": total,
                    "used": bytes_,
                    "name": full_name,
                },
            )


# Asking a host to look


def asked(observatory: Observatory, *, listened_to: bool = True) -> bool:
    return somebody_should_look(
        observatory.engine,
        location=location(observatory),
        due_seconds=60,
        is_listened_to=lambda: listened_to,
        asks="control",
    )


def test_a_host_is_asked_once_until_it_has_looked(observatory: Observatory) -> None:
    assert [asked(observatory), asked(observatory)] == [True, False]
    look(observatory)
    assert not asked(observatory)
    with observatory.engine.begin() as connection:
        connection.execute(text("update location_measurement set measured_at = now() - interval '61 seconds'"))
        connection.execute(text("update data_location set measurement_asked_at = now() - interval '62 seconds'"))
    assert asked(observatory)


def test_a_host_that_did_not_come_to_it_is_asked_again_after_a_while(observatory: Observatory) -> None:
    assert asked(observatory)
    with observatory.engine.begin() as connection:
        connection.execute(text("update data_location set measurement_asked_at = now() - interval '16 minutes'"))
    assert asked(observatory)


def test_a_location_whose_workers_are_silent_for_long_counts_as_gone(observatory: Observatory) -> None:
    look(observatory)
    with observatory.engine.begin() as connection:
        connection.execute(text("update location_measurement set measured_at = now() - interval '14 minutes'"))
    assert not asked(observatory, listened_to=False)
    assert changes(observatory.engine) == []
    with observatory.engine.begin() as connection:
        connection.execute(text("update location_measurement set measured_at = now() - interval '16 minutes'"))
        connection.execute(text("update data_location set measurement_asked_at = null"))
    assert not asked(observatory, listened_to=False)
    ((condition, why),) = changes(observatory.engine)
    assert condition is Condition.GONE
    assert f"{BUFFER} is not reached: no worker on cologne answers, and none has seen it since" in why
    assert look(observatory).condition is Condition.WELL


def test_measurements_are_forgotten_after_two_weeks(observatory: Observatory) -> None:
    look(observatory)
    night_of(observatory, used=[1, 2], hours=14.5 * 24)
    assert not asked(observatory)  # somebody looked a moment ago
    with observatory.engine.begin() as connection:
        connection.execute(
            text("update location_measurement set measured_at = measured_at - interval '1 hour' where used_bytes <> 1")
        )
    assert asked(observatory)
    with Session(observatory.engine) as session:
        assert len(session.scalars(select(LocationMeasurement)).all()) == 2


def test_trouble_with_measuring_stops_nothing(observatory: Observatory, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("alter table location_measurement rename to elsewhere"))
    try:
        storage = DiskStorage(observatory.folder(BUFFER))
        measure(engine, location=location(observatory), storage=lambda: storage, host="cologne")
    finally:
        with engine.begin() as connection:
            connection.execute(text("alter table elsewhere rename to location_measurement"))
