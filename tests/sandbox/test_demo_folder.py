"""What `make demo DATA=folder REPORT=file` accepts, before anything is started."""

import os
from pathlib import Path

import pytest

from include.errors import SandboxError
from include.sandbox.demo.instrument import folder_originals, require_fileable
from include.sandbox.demo.showing import require_places
from include.sandbox.layout import CLONE


@pytest.mark.parametrize(
    ("data", "report", "said"),
    [
        ("nowhere", None, "DATA=.*nowhere is not a folder"),
        ("file", None, "DATA=.*file is not a folder"),
        ("full", "nowhere/report.json", "REPORT=.*there is no folder .*nowhere"),
        ("full", "full", "REPORT=.*full is a folder: name a file in it"),
    ],
)
def test_what_cannot_be_is_told_at_once(tmp_path: Path, data: str, report: str | None, said: str) -> None:
    (tmp_path / "full").mkdir()
    for file in (tmp_path / "file", tmp_path / "full/file"):
        file.touch()
    with pytest.raises(SandboxError, match=said):
        require_places(tmp_path / data, tmp_path / report if report else None)


def test_odd_names_are_fileable(tmp_path: Path) -> None:
    names = ["-rf", "new\nline", "ünï 望 'q' \"d\" %s $(id)", "empty", ".hidden/..dots"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    require_fileable(tmp_path)
    notices: list[str] = []
    assert {original.path for original in folder_originals(tmp_path, notice=notices)} == set(names)
    assert notices == ["passed over, no regular file: fifo"]


def test_all_bad_names_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "{{ ds }}").touch()
    (tmp_path / "good").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/latin-\xe9")).touch()
    with pytest.raises(SandboxError) as told:
        require_fileable(tmp_path)
    assert "'{{ ds }}' holds '{{'" in str(told.value)
    assert r"'latin-\udce9'" in str(told.value)
    assert "good" not in str(told.value)


def test_folders_that_cannot_be_sent(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="has no files"):
        require_fileable(tmp_path)
    with pytest.raises(SandboxError, match="apart from it"):
        require_fileable(CLONE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "locked").mkdir(mode=0)
    with pytest.raises(SandboxError, match="locked cannot be read"):
        require_fileable(tmp_path)
