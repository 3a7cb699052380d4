"""Packaging makes one tar of the files that belong together, in one pass."""

import time
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.integrity.verify import read_package
from include.ops_db.manifests import load_manifest
from include.ops_db.states import CopyStatus, PackageState
from include.ops_db.tables import PhysicalCopy
from include.storage.disk import DiskStorage
from tests.observatory import Observatory
from tests.stages.filed import file_observation, packages
from tests.stages.packed import HERE, DiesAfterWriting, buffered, package_files, retry, tar_content

ODD_FILES = {
    "a b/with space.g3": b"space",
    "-rf": b"leading dash",
    "ünï/çödé/日本語 🔭.g3": b"unicode",
    "empty": b"",
    "/".join(["deep"] * 40) + "/file": b"deep",
    "long/" + "n" * 250: b"long name",
    "new\nline": b"line",
    "512": b"x" * 512,
    "513": b"x" * 513,
    ".hidden/..double": b"dots",
}


def test_a_finished_observation_becomes_one_package_in_the_buffer(observatory: Observatory) -> None:
    files = {"12345/rfsoc01/12345_000.g3": b"first", "12345/rfsoc01/12345_001.g3": b"second"}
    observation = file_observation(observatory, files)
    report = package_files(observatory)
    assert (report.completed, report.failed) == (1, [])
    (package,) = packages(observatory.engine)
    assert package.name == f"primecam_mod280_20260401T032000_{str(observation)[:8]}_0001"
    assert package.path == f"primecam/20260401/{package.name}.tar"
    assert (package.state, package.file_count, package.content_bytes) == (PackageState.WAITING, 2, 11)
    assert package.packaged_at is not None
    assert tar_content(observatory, package) == files
    assert buffered(observatory) == [package.path]


def test_what_is_recorded_is_what_lies_in_the_buffer(observatory: Observatory) -> None:
    file_observation(observatory, ODD_FILES | {"large": b"0123456789" * 100_000}, with_checksums=True)
    package_files(observatory)
    (package,) = packages(observatory.engine)
    content = (observatory.folder("ccat_buffer") / package.path).read_bytes()
    with Session(observatory.engine) as session:
        manifest = load_manifest(session, package.id)
        copy = session.scalars(select(PhysicalCopy).where(PhysicalCopy.raw_data_package_id == package.id)).one()
    read_package([content], manifest=manifest)
    for member in manifest.members:
        assert content[member.offset_bytes : member.end_bytes] == (observatory.folder(HERE) / member.path).read_bytes()
    assert (copy.status, copy.size_bytes, copy.path) == (CopyStatus.PRESENT, len(content), package.path)
    assert copy.checksum == package.checksum == manifest.checksum
    assert copy.verified_at is None  # written, not read back


def test_odd_names_survive(observatory: Observatory) -> None:
    file_observation(observatory, ODD_FILES)
    package_files(observatory)
    (package,) = packages(observatory.engine)
    assert tar_content(observatory, package) == ODD_FILES


def test_the_same_files_give_the_same_bytes_whenever_they_are_packaged(observatory: Observatory) -> None:
    file_observation(observatory, ODD_FILES)
    observatory.storages["ccat_buffer"] = DiesAfterWriting(observatory.folder("ccat_buffer"))
    package_files(observatory)
    (path,) = buffered(observatory)
    first = (observatory.folder("ccat_buffer") / path).read_bytes()
    (observatory.folder("ccat_buffer") / path).unlink()
    for name in ODD_FILES:
        (observatory.folder(HERE) / name).touch()
    observatory.storages["ccat_buffer"] = DiskStorage(observatory.folder("ccat_buffer"))
    assert retry(observatory).completed == 1
    assert buffered(observatory) == [path]
    assert (observatory.folder("ccat_buffer") / path).read_bytes() == first


def test_modules_of_one_observation_are_packaged_apart(observatory: Observatory) -> None:
    observation = file_observation(observatory, {"280": b"a"})
    file_observation(observatory, {"350": b"b"}, observation=observation, module="mod350")
    package_files(observatory)
    made = packages(observatory.engine)
    assert sorted(package.name.split("_")[1] for package in made) == ["mod280", "mod350"]
    assert [package.number for package in made] == [1, 1]


def test_a_file_that_was_not_filed_is_not_packed(observatory: Observatory) -> None:
    file_observation(observatory, {"night/1.g3": b"filed"})
    observatory.put_files({"night/2.g3": b"still being written"})
    package_files(observatory)
    (package,) = packages(observatory.engine)
    assert tar_content(observatory, package) == {"night/1.g3": b"filed"}


def test_observations_that_share_second_and_beginning_get_names_of_their_own(observatory: Observatory) -> None:
    first = file_observation(observatory, {"1": b"a"}, observation=UUID("aaaaaaaa-0000-0000-0000-000000000001"))
    package_files(observatory)
    second = file_observation(observatory, {"2": b"b"}, observation=UUID("aaaaaaaa-0000-0000-0000-000000000002"))
    package_files(observatory)
    names = [package.name for package in packages(observatory.engine)]
    assert names == [
        f"primecam_mod280_20260401T032000_{str(first)[:8]}_0001",
        f"primecam_mod280_20260401T032000_{second}_0001",
    ]
    assert len(buffered(observatory)) == 2


def test_five_thousand_small_files_are_one_package_within_seconds(observatory: Observatory) -> None:
    file_observation(observatory, {f"{index // 100:02}/{index:04}.g3": b"%d" % index for index in range(5000)})
    begun = time.monotonic()
    assert package_files(observatory).completed == 1
    assert time.monotonic() - begun < 30  # 2.8 on two idle cores
    (package,) = packages(observatory.engine)
    with Session(observatory.engine) as session:
        manifest = load_manifest(session, package.id)
    assert len(manifest.members) == 5000
    read_package([(observatory.folder("ccat_buffer") / package.path).read_bytes()], manifest=manifest)
