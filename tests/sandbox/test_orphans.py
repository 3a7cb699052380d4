"""What clones left that were deleted without `make clean`: it is told, and removed only where that is safe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.sandbox import house
from include.sandbox.accounts import Account
from include.sandbox.layout import Layout
from include.sandbox.orphans import notice, orphans, remove_orphans

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has houses outside of its clones")


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """Houses of a clone that is there and of one that is gone, and one that does not say whose it is."""
    folder = tmp_path / "houses"
    (tmp_path / "a clone").mkdir()
    for name, clone in (("there", tmp_path / "a clone"), ("gone", tmp_path / "an old clone")):
        (folder / name / "run").mkdir(parents=True)
        (folder / name / "clone").write_bytes(os.fsencode(clone))
    (folder / "silent" / "run").mkdir(parents=True)
    (folder / "accounts").touch()
    return folder


def test_only_what_a_clone_left_that_is_gone_is_told_and_removed(houses: Path, tmp_path: Path) -> None:
    assert orphans(houses) == {houses / "gone": tmp_path / "an old clone"}
    (told,) = notice(houses)
    assert "an old clone" in told
    assert "dts sandbox clean --orphans" in told
    (removed,) = remove_orphans(houses)
    assert f"{houses / 'gone'}, left by" in removed
    assert sorted(path.name for path in houses.iterdir()) == ["accounts", "silent", "there"]
    assert notice(houses) == []
    assert "No clone that is gone" in remove_orphans(houses)[0]


def test_a_clone_that_comes_back_finds_its_house(houses: Path, tmp_path: Path) -> None:
    (tmp_path / "an old clone").mkdir()
    assert notice(houses) == []


def test_what_still_runs_keeps_its_house(houses: Path) -> None:
    runs = [sys.executable, "-c", "input()", str(houses / "gone" / "run" / "postgres")]
    with subprocess.Popen(runs, stdin=subprocess.PIPE) as process:
        (told,) = remove_orphans(houses)
        assert f"stays: process {process.pid} still runs from it" in told
        process.communicate(b"\n")
    assert (houses / "gone" / "run").is_dir()
    remove_orphans(houses)
    assert not (houses / "gone").exists()


def test_the_last_house_takes_the_folder_with_it(houses: Path) -> None:
    for name in ("there", "silent"):
        (houses / name / "clone").unlink(missing_ok=True)
        (houses / name / "run").rmdir()
        (houses / name).rmdir()
    remove_orphans(houses)
    assert not houses.exists()


def test_a_clone_of_any_name_is_told(houses: Path, tmp_path: Path) -> None:
    (houses / "gone" / "clone").write_bytes(os.fsencode(tmp_path) + b"/latin-\xe9")
    assert r"latin-\udce9" in notice(houses)[0]


def test_a_house_says_whose_it_is(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    base = Path("/var/lib/dts-sandbox") / f"test-{os.getpid()}-whose"
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", base], check=True))
    clone = tmp_path / "a clone"
    (clone / "include").mkdir(parents=True)
    (clone / "requirements.lock").touch()
    house.build(Layout(clone=clone, base=base), account=Account(name="root", uid=0, gid=0))
    assert (base / "clone").read_bytes() == os.fsencode(clone)
