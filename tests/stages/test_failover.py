"""A buffer that is full, read-only or gone: the next takes new work, and the first does again once it is well."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, aliased

from include.lifecycle.failover import destination
from include.lifecycle.measuring import measure
from include.ops_db.states import WorkStatus
from include.ops_db.tables import DataLocation, DataTransfer, DataTransferPackage
from include.stages import bundling, packaging, transfer
from include.stages.ways import pushed_from, pushed_to
from include.timetable import TimetableEntry
from include.topology import MovedBy, OperationKind, Route, Topology, Watermarks
from tests.lifecycle.small_disk import SmallDisk, small_disk
from tests.observatory import Observatory
from tests.stages.bundled import add_package
from tests.stages.filed import add_location, file_observation
from tests.stages.moved import bundled, packaged, with_routes

FIRST, SPARE = "ccat_buffer", "ccat_spare"


def look(observatory: Observatory, *full_names: str) -> None:
    """Measure locations, whenever the last time was."""
    with observatory.engine.begin() as connection:
        connection.execute(text("update location_measurement set measured_at = measured_at - interval '1 hour'"))
    for full_name in full_names:
        storage = observatory.storage_of(full_name)
        location = observatory.topology.location(full_name)
        measure(observatory.engine, location=location, storage=lambda storage=storage: storage, host="here")


def with_spare(observatory: Observatory, *, like: str) -> str:
    """Another buffer at the site, behind the first one; both with the default watermarks."""
    name = add_location(observatory, like=like, name="spare", priority=900, watermarks=Watermarks())
    changed = tuple(
        each.model_copy(update={"watermarks": Watermarks()}) if each.full_name == like else each
        for each in observatory.topology.data_locations
    )
    observatory.topology = Topology.model_validate(
        observatory.topology.model_copy(update={"data_locations": changed}).model_dump()
    )
    with_routes(observatory)
    return name


@pytest.fixture
def disk(observatory: Observatory) -> Iterator[SmallDisk]:
    """The first buffer of ccat is a small disk; there is a spare one."""
    with_spare(observatory, like=FIRST)
    with small_disk(observatory.folder(FIRST)) as mounted:
        yield mounted


def package_one(observatory: Observatory, name: str) -> str:
    """File and package an observation; return where its package is, and what was said."""
    file_observation(observatory, {name: name.encode()})
    assert observatory.run(packaging, "ccat_source").completed == 1
    return observatory.operations(OperationKind.PACKAGING)[-1].explanation


def test_packages_go_to_the_next_buffer_while_the_first_is_full_and_come_back_below_its_low_mark(
    observatory: Observatory, disk: SmallDisk
) -> None:
    said = []
    for number, share in enumerate((0.5, 0.96, 0.8, 0.6)):
        disk.fill(share)
        look(observatory, FIRST)
        said.append(package_one(observatory, f"night/{number}.g3"))
    assert [FIRST if f"is in {FIRST}" in each else SPARE for each in said] == [FIRST, SPARE, SPARE, FIRST]
    assert "above its critical mark of 95%: new work goes elsewhere" in said[1]
    assert said[0].endswith("bundling takes it from there.")
    assert said[3].endswith("bundling takes it from there.")


def test_packages_go_to_the_next_buffer_while_the_first_is_read_only(observatory: Observatory, disk: SmallDisk) -> None:
    disk.remount("ro")
    assert f"{FIRST} is mounted read-only" in package_one(observatory, "unmeasured")  # found by whoever writes
    look(observatory, FIRST)
    said = package_one(observatory, "measured")
    assert f"is in {SPARE}" in said
    assert f"{FIRST} is mounted read-only: look at its disk." in said
    disk.remount("rw")
    look(observatory, FIRST)
    assert f"is in {FIRST}" in package_one(observatory, "mended")


def test_a_site_whose_only_buffer_is_full_waits_with_the_numbers_and_the_hour(
    observatory: Observatory,
) -> None:
    changed = tuple(
        each.model_copy(update={"watermarks": Watermarks()}) for each in observatory.topology.data_locations
    )
    observatory.topology = Topology.model_validate(
        observatory.topology.model_copy(update={"data_locations": changed}).model_dump()
    )
    with_routes(observatory)
    with small_disk(observatory.folder(FIRST)) as disk:
        look(observatory, FIRST)
        disk.fill(0.96)
        look(observatory, FIRST)
        file_observation(observatory, {"1": b"one"})
        report = observatory.run(packaging, "ccat_source")
    assert (report.later, report.failed) == (1, [])
    (operation,) = observatory.operations(OperationKind.PACKAGING)
    assert operation.status is WorkStatus.PENDING
    assert operation.failure_count == 0
    assert f"{FIRST} has" in operation.explanation
    assert "above its critical mark (95%): nothing new goes there." in operation.explanation
    assert "it is full at 20" in operation.explanation


# Transfers


def bundles(observatory: Observatory) -> list[tuple[str, str]]:
    """Destination and state of each bundle, oldest first."""
    there = aliased(DataLocation)
    with Session(observatory.engine) as session:
        rows = session.execute(
            select(there.full_name, DataTransferPackage.state)
            .join(there, there.id == DataTransferPackage.destination_location_id)
            .order_by(DataTransferPackage.id)
        )
        return [(row.full_name, row.state.value) for row in rows]


@pytest.fixture
def two_at_cologne(observatory: Observatory) -> Observatory:
    """cologne has a spare buffer; us has no archive, so that everything goes to cologne."""
    with_spare(observatory, like="cologne_buffer")
    policy = observatory.topology.policy.model_copy(
        update={"archive_copies": 1, "archive_sites": 1, "bundle_max_age_seconds": 600}
    )
    kept = tuple(each for each in observatory.topology.data_locations if each.full_name != "us_archive")
    observatory.topology = Topology.model_validate(
        observatory.topology.model_copy(update={"policy": policy, "data_locations": kept}).model_dump()
    )
    with_routes(observatory)
    return observatory


def test_new_bundles_go_to_the_next_buffer_and_come_back(two_at_cologne: Observatory, tmp_path: Path) -> None:
    observatory = two_at_cologne
    add_package(observatory)
    observatory.plan(bundling, FIRST)
    assert bundles(observatory) == [("cologne_buffer", "open")]
    observatory.folder("cologne_buffer").rename(tmp_path / "away")
    look(observatory, "cologne_buffer")
    add_package(observatory)
    observatory.plan(bundling, FIRST)
    assert bundles(observatory) == [("cologne_buffer", "open"), ("cologne_spare", "open")]
    said = observatory.operations(OperationKind.BUNDLING)[-1].explanation
    assert "Its bundle to cologne_spare is open" in said
    assert "cologne_buffer is not reached: " in said
    (tmp_path / "away").rename(observatory.folder("cologne_buffer"))
    look(observatory, "cologne_buffer")
    add_package(observatory)
    observatory.plan(bundling, FIRST)
    assert len(bundles(observatory)) == 2
    with Session(observatory.engine) as session:
        members = session.execute(
            text("select count(*) from data_transfer_package_member group by data_transfer_package_id order by 1")
        )
        assert [row.count for row in members] == [1, 2]


def test_with_no_buffer_well_bundles_go_to_the_first_and_wait_there(two_at_cologne: Observatory) -> None:
    for name in ("cologne_buffer", "cologne_spare"):
        two_at_cologne.folder(name).rmdir()
    look(two_at_cologne, "cologne_buffer", "cologne_spare")
    add_package(two_at_cologne)
    two_at_cologne.plan(bundling, FIRST)
    assert bundles(two_at_cologne) == [("cologne_buffer", "open")]


def test_a_site_that_is_unwell_is_not_its_turn(observatory: Observatory) -> None:
    observatory.folder("cologne_buffer").rmdir()
    look(observatory, "cologne_buffer", "us_buffer")
    for _ in range(3):
        add_package(observatory)
        observatory.run(bundling, FIRST)
    assert [name for name, _ in bundles(observatory)] == ["us_buffer"] * 3


def test_what_lands_in_the_next_buffer_goes_all_the_way(observatory: Observatory) -> None:
    with_spare(observatory, like="cologne_buffer")
    observatory.folder("cologne_buffer").rmdir()
    look(observatory, "cologne_buffer")
    observatory.folder("us_buffer").rmdir()
    look(observatory, "us_buffer")
    (package,) = packaged(observatory)
    assert observatory.run(bundling, FIRST).completed == 1
    assert observatory.run(transfer, "cologne_spare").completed == 1
    assert (observatory.folder("cologne_spare") / package.path).exists()
    with Session(observatory.engine) as session:
        assert session.scalars(select(DataTransfer.transfer_status)).all() == [WorkStatus.COMPLETED]


def test_what_a_route_says_holds_for_every_buffer_of_the_site(observatory: Observatory) -> None:
    with_spare(observatory, like="cologne_buffer")
    by_night = TimetableEntry.model_validate({"from": "08:00", "until": "20:00", "mbit_per_second": 400})
    with_routes(
        observatory,
        Route(from_location=FIRST, to_location="cologne_buffer", moved_by=MovedBy.PUSH, timetable=(by_night,)),
    )
    topology = observatory.topology
    route = topology.route(origin=FIRST, destination="cologne_spare")
    assert (route.to_location, route.moved_by, route.timetable) == ("cologne_spare", MovedBy.PUSH, (by_night,))
    assert topology.route(origin=FIRST, destination="us_buffer") == Route(from_location=FIRST, to_location="us_buffer")
    assert sorted(pushed_from(topology, FIRST)) == ["cologne_buffer", "cologne_spare"]
    assert pushed_to(topology, "cologne_spare") == [FIRST]
    assert pushed_to(topology, "us_buffer") == []


def test_what_a_route_says_holds_for_every_buffer_that_it_may_leave_from(observatory: Observatory) -> None:
    with_spare(observatory, like=FIRST)
    with_routes(observatory, Route(from_location=FIRST, to_location="cologne_buffer", moved_by=MovedBy.PUSH))
    (package,) = packaged(observatory)
    observatory.storages[SPARE] = observatory.storages[FIRST]
    bundled(observatory, [package], origin=SPARE)
    assert observatory.topology.destination(origin=SPARE, site="cologne").full_name == "cologne_buffer"
    assert observatory.plan(transfer, "cologne_buffer").batches == []
    assert observatory.run(transfer, SPARE).completed == 1
    assert (observatory.folder("cologne_buffer") / package.path).exists()


def test_a_route_may_name_a_buffer_that_is_not_the_first(observatory: Observatory) -> None:
    with_spare(observatory, like="cologne_buffer")
    with_routes(observatory, Route(from_location=FIRST, to_location="cologne_spare"))

    def chosen() -> str:
        with Session(observatory.engine) as session:
            return destination(session, observatory.topology, origin=FIRST, site="cologne").buffer.full_name

    assert chosen() == "cologne_spare"
    observatory.folder("cologne_spare").rmdir()
    look(observatory, "cologne_spare")
    assert chosen() == "cologne_buffer"
