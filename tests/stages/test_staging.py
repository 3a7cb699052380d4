"""Staging from real S3 onto a real disk: what comes, what is found wrong on the way, and what happens around it."""

import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from include.errors import BadInputError, PermanentError, TransientError
from include.lifecycle.staging_jobs import request_staging
from include.ops_db.places import location_ids
from include.ops_db.states import CopyStatus, StagingState, WorkStatus
from include.ops_db.tables import PhysicalCopy, StagingJob, StagingJobPackage
from include.sandbox.s3 import S3
from include.stages import deletion, staging
from include.storage.disk import DiskStorage
from include.storage.interface import Space
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address
from include.topology import OperationKind
from tests.lifecycle.archived import FILES, Archived, archived_package
from tests.observatory import Observatory

FIRST, SECOND = sorted(FILES)
HERE = "cologne_processing"
_prefixes = count(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Address]:
    with S3.running(tmp_path_factory.mktemp("s3"), bucket="archive") as server:
        yield S3Address(endpoint_url=server.endpoint, bucket=server.bucket, key=server.key, secret=server.secret)


@pytest.fixture
def observatory(engine: Engine, tmp_path: Path, store: S3Address) -> Observatory:
    """The sandbox's three sites, with both archives on real S3."""
    observatory = Observatory.build(engine, tmp_path / "observatory")
    for archive in ("cologne_archive", "us_archive"):
        observatory.storages[archive] = S3Storage(replace(store, prefix=f"{archive}-{next(_prefixes)}"))
    return observatory


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def ask_for(package: Archived, *more: Archived, hours: float = 1) -> int:
    with Session(package.observatory.engine) as session, session.begin():
        return request_staging(
            session,
            packages=[package.name, *(other.name for other in more)],
            location=HERE,
            until=datetime.now(UTC) + timedelta(hours=hours),
            requested_by="jane",
            reason="a map of Orion",
        )


def staged(package: Archived) -> dict[str, bytes]:
    """What is in the observation's folder at the processing location, parts included."""
    folder = package.observatory.folder(HERE) / package.staged_folder
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def explanation(observatory: Observatory) -> str:
    return observatory.operations(OperationKind.STAGING)[-1].explanation


def damage(package: Archived, archive: str) -> None:
    """Change one byte in the middle of an archive's object."""
    content = bytearray(package.content)
    content[len(content) // 2] ^= 1
    package.observatory.storages[archive].write(package.path, [bytes(content)])


def test_the_files_come_with_their_bytes_and_it_is_said_from_where(observatory, package):
    ask_for(package)
    report = observatory.run(staging, HERE)

    assert (report.completed, report.failed) == (1, [])
    assert staged(package) == FILES
    assert package.statuses(HERE) == [CopyStatus.STAGED]
    assert "2 files of" in explanation(observatory)
    assert f"with {sum(map(len, FILES.values()))} bytes were read from cologne_archive" in explanation(observatory)
    with Session(observatory.engine) as session:
        here = location_ids(session)[HERE]
        copy = session.scalars(select(PhysicalCopy).where(PhysicalCopy.data_location_id == here)).one()
        assert (copy.path, copy.checksum) == (package.staged_folder, package.manifest.checksum)
        assert copy.verified_at is not None


@pytest.mark.parametrize(
    "files",
    [
        {"-a b/ü 'n' \"q\"\n.g3": b"odd", "empty.g3": b"", "a/b/c/d/e/f/deep.g3": b"deep"},
        {f"{number:04}.g3": str(number).encode() for number in range(500)},
        {"large.g3": os.urandom(5_000_000)},
    ],
    ids=["odd names", "many small ones", "a large one"],
)
def test_files_of_any_name_number_and_size_come_as_they_were(observatory, files):
    package = archived_package(observatory, files)
    ask_for(package)
    observatory.run(staging, HERE)
    assert staged(package) == files


def test_without_a_job_nothing_is_staged(observatory, package):
    observatory.plan(staging, HERE)
    assert observatory.operations(OperationKind.STAGING) == []


def test_what_is_staged_is_not_staged_again(observatory, package):
    ask_for(package)
    observatory.run(staging, HERE)
    ask_for(package, hours=2)
    observatory.plan(staging, HERE)
    assert len(observatory.operations(OperationKind.STAGING)) == 1


def test_packages_of_one_observation_share_a_folder_and_do_not_disturb_each_other(observatory, package):
    other = archived_package(observatory, {"16123/rfsoc01/b.g3": b"other"}, observation=package.observation)
    ask_for(package, other)
    assert observatory.run(staging, HERE).completed == 2
    assert staged(package) == FILES | other.files


def test_a_damaged_archive_copy_is_marked_and_the_next_one_is_used_in_the_same_attempt(observatory, package):
    damage(package, "cologne_archive")
    ask_for(package)
    report = observatory.run(staging, HERE)

    assert report.completed == 1
    assert staged(package) == FILES
    assert package.statuses("cologne_archive") == [CopyStatus.CORRUPT]
    assert package.statuses("us_archive") == [CopyStatus.PRESENT]
    assert "were read from us_archive" in explanation(observatory)
    assert "cologne_archive, marked corrupt" in explanation(observatory)


class FlipsABitOnce(S3Storage):
    """The first reading comes wrong over the network; what is stored is right."""

    readings = 0

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.readings += 1
        for chunk in super().read(path, offset=offset, length=length):
            yield chunk if self.readings > 1 else chunk[:-600] + bytes([chunk[-600] ^ 1]) + chunk[-599:]


def test_what_comes_wrong_once_is_no_damaged_copy(observatory, package):
    nearest = observatory.storages["cologne_archive"]
    observatory.storages["cologne_archive"] = flips = FlipsABitOnce(nearest.address)
    ask_for(package)
    report = observatory.run(staging, HERE)

    assert (report.completed, flips.readings) == (1, 2)
    assert staged(package) == FILES
    assert package.statuses("cologne_archive") == [CopyStatus.PRESENT]
    assert "read from cologne_archive" in explanation(observatory)


def test_a_short_archive_copy_is_a_damaged_one(observatory, package):
    observatory.storages["cologne_archive"].write(package.path, [package.content[:700]])
    ask_for(package)
    assert observatory.run(staging, HERE).completed == 1
    assert package.statuses("cologne_archive") == [CopyStatus.CORRUPT]


def test_an_object_that_is_not_there_is_marked_missing(observatory, package):
    observatory.storages["cologne_archive"].delete(package.path)
    ask_for(package)

    assert observatory.run(staging, HERE).completed == 1
    assert package.statuses("cologne_archive") == [CopyStatus.MISSING]
    assert "cologne_archive, marked missing" in explanation(observatory)


def test_with_no_good_copy_at_all_it_fails_naming_each_and_no_damaged_file_appears(observatory, package):
    damage(package, "cologne_archive")
    observatory.storages["us_archive"].delete(package.path)
    ask_for(package)
    report = observatory.run(staging, HERE)

    assert len(report.failed) == 1
    assert "cologne_archive, marked corrupt" in report.failed[0]
    assert "us_archive, marked missing" in report.failed[0]
    assert package.statuses("cologne_archive") == [CopyStatus.CORRUPT]
    assert package.statuses("us_archive") == [CopyStatus.MISSING]
    assert all(content == FILES[path] for path, content in staged(package).items())
    assert package.statuses(HERE) == [CopyStatus.DELETION_POSSIBLE]


def test_a_damaged_copy_counts_no_more_for_the_deletion_gate_while_the_next_one_is_still_read(observatory, package):
    damage(package, "cologne_archive")
    seen = []

    class Watched(S3Storage):
        def read(self, path: str, *, offset: int = 0, length: int | None = None):
            seen.extend(package.statuses("cologne_archive"))
            return super().read(path, offset=offset, length=length)

    observatory.storages["us_archive"] = Watched(observatory.storages["us_archive"].address)
    ask_for(package)
    observatory.run(staging, HERE)
    assert seen == [CopyStatus.CORRUPT]


def test_a_copy_that_was_repaired_meanwhile_is_not_marked(observatory, package):
    damage(package, "cologne_archive")

    class Repaired(S3Storage):
        def read(self, path: str, *, offset: int = 0, length: int | None = None):
            yield from super().read(path, offset=offset, length=length)
            package.change_copy("cologne_archive", verified_at=datetime.now(UTC))

    # A difference within the last bytes: the repair comes before it is noticed.
    observatory.storages["cologne_archive"] = Repaired(observatory.storages["cologne_archive"].address)
    observatory.storages["cologne_archive"].write(package.path, [package.content[:-1] + b"\1"])
    ask_for(package)
    observatory.run(staging, HERE)
    assert package.statuses("cologne_archive") == [CopyStatus.PRESENT]


def test_the_next_archive_serves_while_the_nearest_is_gone(observatory, package):
    class Gone:
        def read(self, path: str, *, offset: int = 0, length: int | None = None):
            raise TransientError("cologne-archive does not answer")
            yield

    observatory.storages["cologne_archive"] = Gone()
    ask_for(package)
    report = observatory.run(staging, HERE)

    assert report.completed == 1
    assert package.statuses("cologne_archive") == [CopyStatus.PRESENT]
    assert "cologne-archive does not answer" in explanation(observatory)


def test_if_no_archive_answers_it_is_tried_again_later(observatory, package):
    class Gone:
        def read(self, path: str, *, offset: int = 0, length: int | None = None):
            raise TransientError("nobody answers")
            yield

    observatory.storages["cologne_archive"] = observatory.storages["us_archive"] = Gone()
    ask_for(package)
    assert observatory.run(staging, HERE).later == 1
    assert package.statuses("us_archive") == [CopyStatus.PRESENT]


def test_a_trouble_of_the_disk_is_not_blamed_on_the_archives(observatory, package):
    class ReadOnly(DiskStorage):
        def writing(self, path: str, *, durable: bool = True):
            raise PermanentError("the disk is read-only")

    observatory.storages[HERE] = ReadOnly(observatory.folder(HERE))
    ask_for(package)
    assert "the disk is read-only" in observatory.run(staging, HERE).failed[0]
    assert package.statuses("cologne_archive") == [CopyStatus.PRESENT]


def test_without_room_it_waits_with_the_numbers_before_anything_is_written(observatory, package):
    class Full(DiskStorage):
        def space(self):
            return Space(total_bytes=10_000, free_bytes=100)

    observatory.storages[HERE] = Full(observatory.folder(HERE))
    ask_for(package)
    assert observatory.run(staging, HERE).later == 1

    assert staged(package) == {}
    assert package.statuses(HERE) == []
    need = sum(map(len, FILES.values()))
    assert f"cologne_processing has 100 of 10,000 bytes free; {package.name} needs {need} more" in explanation(
        observatory
    )


def test_memory_does_not_grow_with_the_package(observatory):
    package = archived_package(observatory, {"large.g3": bytes(24_000_000)})
    ask_for(package)
    (batch,) = observatory.plan(staging, HERE).batches
    tracemalloc.start()
    observatory.runner(staging, HERE).run(batch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000


class Killed(BaseException):
    """The worker ends here; nothing catches this."""


def test_killed_in_the_middle_no_damaged_file_has_a_name_and_the_next_try_ends_it(observatory, package):
    class Mortal(DiskStorage):
        def writing(self, path: str, *, durable: bool = True):
            if path.endswith(SECOND):
                raise Killed
            return super().writing(path, durable=durable)

    observatory.storages[HERE] = Mortal(observatory.folder(HERE))
    ask_for(package)
    with pytest.raises(Killed):
        observatory.run(staging, HERE)
    assert staged(package) == {FIRST: FILES[FIRST]}
    assert package.statuses(HERE) == [CopyStatus.DELETION_POSSIBLE]

    observatory.storages[HERE] = DiskStorage(observatory.folder(HERE))
    old = observatory.folder(HERE) / package.staged_folder / f"{SECOND}.{'0' * 32}.part"
    old.write_bytes(b"left behind")
    two_hours_ago = datetime.now(UTC).timestamp() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    let_leases_run_out(observatory.engine)
    observatory.run(staging, HERE)
    assert staged(package) == FILES
    assert package.statuses(HERE) == [CopyStatus.STAGED]


@pytest.mark.parametrize("found", [FILES[FIRST], b""], ids=["whole", "emptied by a power cut"])
def test_what_a_staging_brought_that_never_came_to_its_end_goes_once_the_job_is_over(observatory, package, found):
    class Mortal(DiskStorage):
        def writing(self, path: str, *, durable: bool = True):
            if path.endswith(SECOND):
                raise Killed
            return super().writing(path, durable=durable)

    observatory.storages[HERE] = Mortal(observatory.folder(HERE))
    ask_for(package)
    with pytest.raises(Killed):
        observatory.run(staging, HERE)
    (observatory.folder(HERE) / package.staged_folder / FIRST).write_bytes(found)
    assert observatory.run(deletion, HERE).completed == 0
    end_jobs(observatory.engine)
    let_leases_run_out(observatory.engine)
    observatory.run(staging, HERE)
    assert observatory.run(deletion, HERE).completed == 1

    assert staged(package) == {}
    assert package.statuses(HERE) == [CopyStatus.DELETED]
    assert "gone before" not in observatory.operations(OperationKind.DELETION)[-1].explanation


def test_a_staged_file_that_somebody_changed_meanwhile_is_made_right(observatory, package):
    observatory.put_files({f"{package.staged_folder}/{FIRST}": b"scribbled"}, location=HERE)
    ask_for(package)
    observatory.run(staging, HERE)
    assert staged(package) == FILES


@pytest.mark.parametrize("link", ["", "16123", "16123/rfsoc01"], ids=["the observation's", "the first", "the last"])
def test_through_a_link_that_leads_out_of_the_location_nothing_is_written(observatory, package, tmp_path, link):
    outside = tmp_path / "outside"
    (outside / "rfsoc01").mkdir(parents=True)
    folder = observatory.folder(HERE) / package.staged_folder / link
    folder.parent.mkdir(parents=True)
    folder.symlink_to(outside)
    ask_for(package)
    (sentence,) = observatory.run(staging, HERE).failed
    assert f"a symbolic link leads out of {observatory.folder(HERE)}" in sentence
    assert [path for path in outside.rglob("*") if path.is_file()] == []


def test_a_link_in_place_of_a_file_is_replaced_and_what_it_leads_to_stays(observatory, package, tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    place = observatory.folder(HERE) / package.staged_folder / FIRST
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "mine")
    ask_for(package)
    assert observatory.run(staging, HERE).completed == 1
    assert ((tmp_path / "mine").read_bytes(), place.is_symlink(), place.read_bytes()) == (b"mine", False, FILES[FIRST])


def test_if_nobody_wants_it_any_more_nothing_is_done(observatory, package):
    ask_for(package)
    (batch,) = observatory.plan(staging, HERE).batches
    end_jobs(observatory.engine)
    observatory.runner(staging, HERE).run(batch)

    assert staged(package) == {}
    assert "No active staging job wants" in explanation(observatory)


def test_while_it_is_being_deleted_it_waits_and_is_staged_anew_afterwards(observatory, package):
    ask_for(package)
    observatory.run(staging, HERE)
    end_jobs(observatory.engine)

    class Slow(DiskStorage):
        asked = False

        def delete(self, path: str) -> bool:
            if not self.asked:
                self.asked = True
                ask_for(package)
                assert observatory.run(staging, HERE).later == 1
                assert "is being deleted at cologne_processing just now" in explanation(observatory)
            return super().delete(path)

    observatory.storages[HERE] = Slow(observatory.folder(HERE))
    assert observatory.run(deletion, HERE).completed == 1
    assert staged(package) == {}
    with observatory.engine.begin() as connection:
        connection.execute(text("update operation set not_before = null"))
    observatory.run(staging, HERE)
    assert staged(package) == FILES


def test_when_the_job_is_over_it_expires_and_the_files_may_go(observatory, package):
    job = ask_for(package)
    observatory.run(staging, HERE)
    assert observatory.run(deletion, HERE).completed == 0
    end_jobs(observatory.engine)
    observatory.plan(staging, HERE)
    with Session(observatory.engine) as session:
        assert session.get_one(StagingJob, job).state is StagingState.EXPIRED

    assert observatory.run(deletion, HERE).completed == 1
    assert staged(package) == {}
    assert package.statuses(HERE) == [CopyStatus.DELETED]


def test_a_job_that_is_not_over_stays_active(observatory, package):
    job = ask_for(package)
    observatory.plan(staging, HERE)
    with Session(observatory.engine) as session:
        assert session.get_one(StagingJob, job).state is StagingState.ACTIVE


def test_a_package_that_was_deleted_can_be_staged_again(observatory, package):
    ask_for(package)
    observatory.run(staging, HERE)
    end_jobs(observatory.engine)
    observatory.run(deletion, HERE)
    ask_for(package)
    observatory.run(staging, HERE)

    assert staged(package) == FILES
    assert package.statuses(HERE) == [CopyStatus.STAGED]
    assert [operation.status for operation in observatory.operations(OperationKind.STAGING)] == [
        WorkStatus.COMPLETED
    ] * 2


def test_a_job_has_each_of_its_packages_once(observatory, package):
    job = ask_for(package, package)
    with Session(observatory.engine) as session:
        members = session.scalars(select(StagingJobPackage).where(StagingJobPackage.staging_job_id == job)).all()
    assert [member.raw_data_package_id for member in members] == [package.id]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"packages": []}, "at least one package"),
        ({"packages": ["nonesuch"]}, "There is no package nonesuch"),
        ({"location": "nowhere"}, "There is no location 'nowhere'.*cologne_processing"),
        ({"location": "cologne_buffer"}, "cologne_buffer is a buffer location.*cologne_processing"),
        ({"location": "us_archive"}, "us_archive is a long term archive location"),
        ({"until": datetime(2020, 1, 1, tzinfo=UTC)}, "2020-01-01.*is over"),
        ({"until": datetime(2099, 1, 1)}, "time zone"),  # noqa: DTZ001 - that is what it is about
        ({"requested_by": ""}, "name of the person"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_by_name(observatory, package, changes, why):
    request = {
        "packages": [package.name],
        "location": HERE,
        "until": datetime.now(UTC) + timedelta(hours=1),
        "requested_by": "jane",
        "reason": "",
    }
    with Session(observatory.engine) as session, pytest.raises(BadInputError, match=f"(?s){why}"):
        request_staging(session, **(request | changes))
    with Session(observatory.engine) as session:
        assert session.scalars(select(StagingJob)).all() == []


def test_a_package_that_no_archive_has_cannot_be_asked_for(observatory, package):
    package.change_copy("cologne_archive", status=CopyStatus.CORRUPT)
    package.change_copy("us_archive", verified_at=None)
    with pytest.raises(BadInputError, match=f"No archive has a verified copy of {package.name}"):
        ask_for(package)


def end_jobs(engine: Engine) -> None:
    """The date of all jobs has come."""
    with engine.begin() as connection:
        connection.execute(text("update staging_job set until = now() - interval '1 second'"))


def let_leases_run_out(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("update operation set lease_expires_at = now() - interval '1 second'"))
