"""Old logs go, young ones and what is no log stay."""

import os
import time
from pathlib import Path

from include.housekeeping.logs import sweep_logs


def log(folder: Path, name: str, *, days: float) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x" * 10)
    os.utime(path, (time.time() - days * 86_400,) * 2)
    return path


def test_old_logs_go_and_nothing_else(tmp_path: Path) -> None:
    old = log(tmp_path, "dag_id=a/run_id=1/task_id=t/attempt=1.log", days=31)
    young = log(tmp_path, "dag_id=a/run_id=2/task_id=t/attempt=1.log", days=29)
    other = log(tmp_path, "dag_id=a/notes.txt", days=300)
    elsewhere = log(tmp_path.parent, "elsewhere.log", days=300)
    link = tmp_path / "link.log"
    link.symlink_to(elsewhere)
    swept = sweep_logs(tmp_path, days=30)
    assert (swept.files, swept.sentence()) == (1, "1 log with 10 B went.")
    assert not old.exists()
    assert young.exists()
    assert other.exists()
    assert elsewhere.exists()
    assert link.is_symlink()
    assert sweep_logs(tmp_path, days=30).files == 0


def test_without_a_folder_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert sweep_logs(tmp_path / "nothing", days=30).files == 0
