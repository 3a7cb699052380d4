"""Scrubbing: every copy is read again in its time, no night reads everything, and damage is found and told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from include.explain.operations import explain_operation
from include.explain.packages import explain_package
from include.operations.stage import Planning, Selection
from include.ops_db.labels import batch_label
from include.ops_db.places import location_id
from include.ops_db.states import CopyStatus, WorkStatus
from include.ops_db.tables import Operation
from include.stages import scrubbing
from include.storage.disk import DiskStorage
from include.topology import OperationKind
from tests.lifecycle.archived import Archived, archived_package
from tests.observatory import Observatory

ARCHIVE = "cologne_archive"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def observatory(engine: Engine, tmp_path: Path) -> Observatory:
    """Where copies are read again every day."""
    return Observatory.build(engine, tmp_path / "observatory", scrub_after_days=1)


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    """Verified long ago in an archive, a minute ago elsewhere."""
    package = archived_package(observatory)
    package.change_copy(ARCHIVE, verified_at=LONG_AGO, created_at=LONG_AGO)
    return package


def spoil(package: Archived, place: str = ARCHIVE) -> None:
    content = bytearray(package.content)
    content[700] ^= 0xFF
    (package.observatory.folder(place) / package.path).write_bytes(content)


def verified_at(package: Archived, place: str = ARCHIVE) -> datetime:
    statement = """
        select c.verified_at from physical_copy c join data_location l on l.id = c.data_location_id
        where c.raw_data_package_id = :id and l.full_name = :place
        """
    with package.observatory.engine.connect() as connection:
        return connection.execute(text(statement), {"id": package.id, "place": place}).scalar_one()


def last(observatory: Observatory) -> Operation:
    return observatory.operations(OperationKind.SCRUBBING)[-1]


class Meddled(DiskStorage):
    """A folder in which something happens before the first byte is read."""

    def __init__(self, root: Path, *happens) -> None:
        super().__init__(root)
        self.happens = list(happens)

    def read(self, path: str, *, offset: int = 0, length: int | None = None):
        if self.happens:
            self.happens.pop(0)()
        return super().read(path, offset=offset, length=length)


def test_what_is_right_is_verified_as_of_when_reading_began(observatory, package):
    before = datetime.now(UTC)
    read_at = []
    observatory.storages[ARCHIVE] = Meddled(observatory.folder(ARCHIVE), lambda: read_at.append(datetime.now(UTC)))
    assert observatory.run(scrubbing, ARCHIVE).completed == 1
    assert before <= verified_at(package) <= read_at[0]
    assert package.statuses(ARCHIVE) == [CopyStatus.PRESENT]
    assert "is what it should be" in last(observatory).explanation
    assert observatory.run(scrubbing, ARCHIVE).completed == 0, "it is not due again"


def test_what_was_verified_lately_is_not_read(observatory, package):
    assert observatory.run(scrubbing, "us_archive").completed == 0


def test_a_copy_that_was_never_verified_is_as_old_as_itself(observatory, package):
    package.change_copy("ccat_buffer", created_at=LONG_AGO)
    assert observatory.run(scrubbing, "ccat_buffer").completed == 1
    assert verified_at(package, "ccat_buffer") is not None


def test_damage_is_marked_told_and_no_evidence_any_more(observatory, package):
    spoil(package)
    assert observatory.run(scrubbing, ARCHIVE).completed == 1
    assert package.statuses(ARCHIVE) == [CopyStatus.CORRUPT]
    told = last(observatory).explanation
    assert f"{package.path} in {ARCHIVE} has checksum" in told
    assert "It was verified at 2026-01-01 00:00:00 UTC; now it is marked corrupt" in told
    assert "1 verified archive copy at 1 site" in package.refusal("ccat_source")
    assert (observatory.folder(ARCHIVE) / package.path).exists(), "the repair puts it aside"


def test_what_is_gone_is_marked(observatory, package):
    (observatory.folder(ARCHIVE) / package.path).unlink()
    observatory.run(scrubbing, ARCHIVE)
    assert package.statuses(ARCHIVE) == [CopyStatus.MISSING]


def test_a_disk_that_is_not_mounted_has_lost_nothing(observatory, package):
    observatory.folder(ARCHIVE).rename(observatory.root / "elsewhere")
    observatory.run(scrubbing, ARCHIVE)
    assert package.statuses(ARCHIVE) == [CopyStatus.PRESENT]
    assert last(observatory).status is not WorkStatus.COMPLETED


def test_bytes_that_are_wrong_only_once_condemn_nothing(observatory, package):
    def mend() -> None:
        (observatory.folder(ARCHIVE) / package.path).write_bytes(package.content)

    observatory.storages[ARCHIVE] = Meddled(observatory.folder(ARCHIVE), lambda: spoil(package), mend)
    report = observatory.run(scrubbing, ARCHIVE)
    assert (report.later, report.failed) == (1, [])
    assert "came wrong once, and right when read again" in last(observatory).explanation
    assert (package.statuses(ARCHIVE), verified_at(package)) == ([CopyStatus.PRESENT], LONG_AGO)


@pytest.mark.parametrize("spoilt", [False, True])
@pytest.mark.parametrize(
    "change",
    [{"status": "deletion_in_progress"}, {"verified_at": datetime(2026, 2, 1, tzinfo=UTC)}, {"status": "missing"}],
    ids=["is deleted", "was repaired", "is missing"],
)
def test_a_copy_that_changes_while_it_is_read_is_left_as_it_is(observatory, package, change, spoilt):
    if spoilt:
        spoil(package)
    observatory.storages[ARCHIVE] = Meddled(observatory.folder(ARCHIVE), lambda: package.change_copy(ARCHIVE, **change))
    assert observatory.run(scrubbing, ARCHIVE).completed == 0
    assert package.statuses(ARCHIVE) == [change.get("status", "present")]
    assert verified_at(package) == change.get("verified_at", LONG_AGO)
    assert "changed in ops-db while it was read" in last(observatory).explanation


def test_what_is_no_longer_there_by_then_is_nobodys_business(observatory, package):
    plan = observatory.plan(scrubbing, ARCHIVE)
    package.change_copy(ARCHIVE, status=CopyStatus.CORRUPT)
    observatory.runner(scrubbing, ARCHIVE).run(plan.batches[0])
    assert f"Nothing was to be done: {package.name} at {ARCHIVE} is corrupt" in last(observatory).explanation


def test_memory_does_not_grow_with_the_copy(observatory, package):
    held = []

    class Counting(DiskStorage):
        def read(self, path: str, *, offset: int = 0, length: int | None = None):
            for chunk in super().read(path, offset=offset, length=length):
                held.append(len(chunk))
                yield chunk

    observatory.storages[ARCHIVE] = Counting(observatory.folder(ARCHIVE))
    observatory.run(scrubbing, ARCHIVE)
    assert max(held) <= 1024 * 1024
    assert sum(held) == len(package.content)


def test_it_goes_by_its_packages_name(observatory, package):
    other = archived_package(observatory, {"b": b"other"})
    other.change_copy(ARCHIVE, verified_at=LONG_AGO)
    plan = observatory.plan(scrubbing, ARCHIVE, selection=Selection(packages=(package.name,)))
    ((operation_id,),) = plan.batches
    assert batch_label(observatory.engine, [operation_id]) == package.name
    with observatory.engine.connect() as connection:
        assert explain_operation(connection, operation_id).subject == package.name
        assert operation_id in [row.id for row in explain_package(connection, package.id).operations]


# Which copies, on which day

COPIES = text(
    """
    with packages as (
      insert into raw_data_package (name, executed_obs_unit_id, instrument_module_id, source_location_id, number, path,
        file_count, content_bytes, size_bytes, checksum, block_bytes, block_checksums, packaged_at)
      select 'p' || n, executed_obs_unit_id, instrument_module_id, source_location_id, number + n, 'p' || n,
        file_count, content_bytes, size_bytes, checksum, block_bytes, block_checksums, packaged_at
      from raw_data_package, generate_series(1, 1800) n where id = :package returning id
    )
    insert into physical_copy (raw_data_package_id, data_location_id, path, size_bytes, checksum, verified_at,
      created_at)
    select id, :here, 'p' || id, 1, 'c', :verified_at, :verified_at from packages
    """
)
READ = text(
    """
    with done as (
      update operation set status = 'completed' where kind = 'scrubbing' and status = 'pending'
      returning physical_copy_id
    )
    update physical_copy set verified_at = :today where data_location_id = :here
      and id in (select physical_copy_id from done)
    """
)


@pytest.fixture
def many(engine: Engine, tmp_path: Path) -> Observatory:
    """1,800 packages that were all verified in one hour, and a policy of 180 days."""
    observatory = Observatory.build(engine, tmp_path / "many", scrub_after_days=180)
    package = archived_package(observatory)
    with Session(observatory.engine) as session, session.begin():
        here = location_id(session, ARCHIVE)
        session.execute(COPIES, {"package": package.id, "here": here, "verified_at": LONG_AGO})
    return observatory


def days_reading(observatory: Observatory, days: range) -> dict[int, int]:
    """Copies that are read on each day after LONG_AGO; all that is wanted is read on the same day."""
    read = {}
    with Session(observatory.engine) as session, session.begin():
        here = location_id(session, ARCHIVE)
        for day in days:
            today = LONG_AGO + timedelta(days=day, hours=1)
            scrubbing.plan(
                Planning(
                    session=session,
                    topology=observatory.topology,
                    location=observatory.topology.location(ARCHIVE),
                    data_location_id=here,
                    now=today,
                )
            )
            read[day] = session.execute(READ, {"today": today, "here": here}).rowcount
    return read


def test_no_night_reads_everything_and_none_is_older_than_policy_says(many):
    read = days_reading(many, range(1, 200))
    assert sum(read.values()) == 1800
    assert {day for day, count in read.items() if count} == set(range(135, 180))
    assert max(read.values()) == 1800 / 45, "as many on each of these days"


def test_what_is_late_is_caught_up_with_within_a_week(many):
    read = days_reading(many, range(400, 410))
    assert sum(read.values()) == 1800
    assert {day for day, count in read.items() if count} == set(range(400, 407))
    assert max(read.values()) < 1800 / 6, "not all in the first night"


def test_a_failed_scrub_hides_nothing_behind_it(many):
    """It stands for a person; the plan looks past it."""
    days_reading(many, range(400, 401))
    with many.engine.begin() as connection:
        connection.execute(text("update operation set status = 'failed' where kind = 'scrubbing'"))
        connection.execute(text("update physical_copy set verified_at = created_at"))
    assert sum(days_reading(many, range(401, 410)).values()) > 1000
