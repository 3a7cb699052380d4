"""`make bench`: what is measured, what counts, and the report, one file for both halves."""

import json
import os

import pytest

from tests.bench import packaging, rivals, transfer
from tests.bench.report import add_to_report


def test_each_half_is_added_and_replaces_only_itself(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    monkeypatch.setenv("REPORT", str(path))
    add_to_report("transfer", {"tuned_large": {"limit": 100.0, "engine": 1.0}})
    add_to_report("packaging", {"small_files": {"limit": 500.0, "engine": 400.0}})
    add_to_report("transfer", {"tuned_large": {"limit": 100.0, "engine": 99.0}})
    assert json.loads(path.read_text()) == {
        "transfer": {"tuned_large": {"limit": 100.0, "engine": 99.0}},
        "packaging": {"small_files": {"limit": 500.0, "engine": 400.0}},
    }


def test_without_a_name_nothing_is_written(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPORT", raising=False)
    monkeypatch.chdir(tmp_path)
    add_to_report("transfer", {})
    assert list(tmp_path.iterdir()) == []


def test_the_cases_and_the_rivals_are_these() -> None:
    assert [case.name for case in transfer.cases(quick=False)] == [
        "tuned_large",
        "tuned_small",
        "stock_large",
        "loopback",
    ]
    large, small, *_ = transfer.cases(quick=False)
    assert (large.count, large.count * large.size_bytes) == (16, 8_192_000_000)
    assert (small.count, small.size_bytes) == (2000, 4_000_000)
    assert set(rivals.RIVALS) == {"sftphook", "sftp", "rsync", "rclone", "bbcp", "mscp"}
    assert set(packaging.WAYS) == {"limit", "engine", "gnu_tar", "tarfile"}
    assert [case.name for case in packaging.cases(quick=False)] == ["small_files", "large_files"]


def test_packaging_is_measured_beside_what_else_packs(tmp_path) -> None:
    """On a few small files, to see that every way works and gives a figure."""
    found = packaging.measure(packaging.Case("few", 5, 200_000), rounds=1, folder=tmp_path)
    assert set(found) == set(packaging.WAYS)
    assert all(rate > 0 for rate in found.values())


def test_of_a_rival_only_bytes_that_it_wrote_count(tmp_path) -> None:
    path = tmp_path / "half"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 4_096_000)  # as rclone does before it writes
        os.pwrite(file.fileno(), b"x" * 409_600, 0)
        os.pwrite(file.fileno(), b"x" * 409_600, 2_048_000)
    assert transfer.written_bytes(path) == 819_200
    whole = tmp_path / "whole"
    whole.write_bytes(b"x" * 12_345)
    assert transfer.written_bytes(whole) == 12_345
    (tmp_path / "empty").touch()
    assert transfer.written_bytes(tmp_path / "empty") == 0
