"""Packaging when files are not as they were filed: the file is named, and nothing is left half done."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from include.errors import BadInputError, PermanentError
from include.ops_db.manifests import load_manifest
from include.ops_db.states import PackageState
from include.ops_db.tables import PhysicalCopy, RawDataFile
from include.stages import packaging
from tests.observatory import Observatory
from tests.stages.filed import file_observation, packages
from tests.stages.packed import HERE, Restless, buffered, package_files, retry, tar_content


def _remove(folder: Path) -> None:
    (folder / "night/2.g3").unlink()


def _grow(folder: Path) -> None:
    (folder / "night/2.g3").write_bytes(b"longer than it was")


def _shrink(folder: Path) -> None:
    (folder / "night/2.g3").write_bytes(b"")


def _alter(folder: Path) -> None:
    (folder / "night/2.g3").write_bytes(b"SECOND")


def _link(folder: Path) -> None:
    (folder / "night/2.g3").unlink()
    (folder / "night/2.g3").symlink_to(folder / "night/1.g3")


@pytest.mark.parametrize("happening", [_remove, _grow, _shrink, _alter, _link])
def test_a_file_that_is_not_as_filed_is_named_and_nothing_is_left_in_the_buffer(
    observatory: Observatory, happening: Callable[[Path], None]
) -> None:
    file_observation(observatory, {"night/1.g3": b"first!", "night/2.g3": b"second"}, with_checksums=True)
    happening(observatory.folder(HERE))
    (failure,) = package_files(observatory).failed
    assert "'night/2.g3'" in failure
    assert "'night/1.g3'" not in failure
    assert "put back" in failure
    assert "dts retry" in failure
    (package,) = packages(observatory.engine)
    assert (package.state, package.packaged_at, package.checksum) == (PackageState.FAILED, None, None)
    assert buffered(observatory) == []
    with Session(observatory.engine) as session:
        assert session.scalars(select(PhysicalCopy).where(PhysicalCopy.raw_data_package_id.is_not(None))).all() == []
        assert session.scalars(select(RawDataFile).where(RawDataFile.offset_bytes.is_not(None))).all() == []


def test_every_file_that_is_wrong_at_first_sight_is_told_at_once(observatory: Observatory) -> None:
    file_observation(observatory, {str(number): b"content" for number in range(9)})
    for number in range(2):
        (observatory.folder(HERE) / str(number)).unlink()
    for number in range(2, 9):
        (observatory.folder(HERE) / str(number)).write_bytes(b"grown since")
    (failure,) = package_files(observatory).failed
    assert "2 of 9 files are missing: '0', '1'." in failure
    assert "'2' (7 bytes filed, 11 there)" in failure
    assert "and 2 more" in failure


def test_a_file_that_changes_while_it_is_read_fails_the_package(observatory: Observatory) -> None:
    content = b"x" * 3_000_000
    file_observation(observatory, {"steady": b"", "written": content})
    target = observatory.folder(HERE) / "written"

    def rewrite(number: int) -> None:
        if number == 4:
            target.write_bytes(b"y" * len(content))

    observatory.storages["ccat_buffer"] = Restless(observatory.folder("ccat_buffer"), rewrite)
    (failure,) = package_files(observatory).failed
    assert "'written' changed while it was read" in failure
    assert buffered(observatory) == []
    assert packages(observatory.engine)[0].state == PackageState.FAILED


def test_a_failed_package_is_made_once_its_file_is_restored_and_a_person_retries(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"one", "2": b"two"}, with_checksums=True)
    (observatory.folder(HERE) / "2").unlink()
    package_files(observatory)
    assert package_files(observatory).failed == []  # nothing plans it anew by itself
    observatory.put_files({"2": b"two"})
    assert retry(observatory).completed == 1
    (package,) = packages(observatory.engine)
    assert package.state == PackageState.WAITING
    assert tar_content(observatory, package) == {"1": b"one", "2": b"two"}


def test_a_failed_package_does_not_keep_others_from_being_made(observatory: Observatory) -> None:
    file_observation(observatory, {"broken": b"1"})
    (observatory.folder(HERE) / "broken").unlink()
    file_observation(observatory, {"whole": b"2"})
    report = package_files(observatory)
    assert len(report.failed) == 1
    assert len(buffered(observatory)) == 1


def test_a_package_that_is_not_made_has_no_manifest(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"one"})
    observatory.plan(packaging, HERE)
    (package,) = packages(observatory.engine)
    with Session(observatory.engine) as session:
        with pytest.raises(BadInputError, match="is not made yet"):
            load_manifest(session, package.id)
        with pytest.raises(BadInputError, match="no raw_data_package 999"):
            load_manifest(session, 999)


def test_a_manifest_with_a_member_missing_in_ops_db_is_refused(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"one", "2": b"two"})
    package_files(observatory)
    (package,) = packages(observatory.engine)
    with Session(observatory.engine) as session:
        session.execute(text("update raw_data_file set raw_data_package_id = null where path = '2'"))
        with pytest.raises(PermanentError, match="1 of 2 files"):
            load_manifest(session, package.id)
