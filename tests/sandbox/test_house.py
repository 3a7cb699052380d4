"""The house: other accounts can run what lies where only root may enter, and nobody's folder is opened for it."""

import os
import pwd
import stat
import subprocess
from pathlib import Path

import pytest

from include.sandbox import house
from include.sandbox.accounts import Account
from include.sandbox.layout import Layout
from include.sandbox.reach import copy_tree, is_reachable_by_others, link_tree


def test_a_tree_is_linked_and_unreadable_files_are_copied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "package").mkdir(parents=True, mode=0o700)
    (source / "package" / "open.py").write_text("open")
    (source / "package" / "closed.py").write_text("closed")
    (source / "package" / "closed.py").chmod(0o600)
    (source / "link").symlink_to("package/open.py")
    link_tree(source, tmp_path / "target")
    linked = tmp_path / "target" / "package"
    assert (linked / "open.py").samefile(source / "package" / "open.py")
    assert not (linked / "closed.py").samefile(source / "package" / "closed.py")
    assert (linked / "closed.py").read_text() == "closed"
    assert stat.S_IMODE((linked / "closed.py").stat().st_mode) == 0o644
    assert stat.S_IMODE((source / "package" / "closed.py").stat().st_mode) == 0o600
    assert stat.S_IMODE(linked.stat().st_mode) == 0o755
    assert stat.S_IMODE((source / "package").stat().st_mode) == 0o700
    assert (tmp_path / "target" / "link").readlink() == Path("package/open.py")


def test_a_copied_program_stays_a_program(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    program = tmp_path / "source" / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    copy_tree(tmp_path / "source", tmp_path / "target")
    assert stat.S_IMODE((tmp_path / "target" / "program").stat().st_mode) == 0o755


def test_what_lies_below_a_closed_folder_cannot_be_reached(tmp_path: Path) -> None:
    assert is_reachable_by_others(Path("/usr/bin"))
    file = tmp_path / "file"
    file.touch()
    tmp_path.chmod(0o700)
    assert not is_reachable_by_others(file)


def test_the_environment_key_changes_with_the_lock_file(tmp_path: Path) -> None:
    layout = Layout(clone=tmp_path, base=tmp_path)
    (tmp_path / "requirements.lock").write_text("one==1\n")
    first = house.environment_key(layout)
    assert house.environment_key(layout) == first
    (tmp_path / "requirements.lock").write_text("one==2\n")
    assert house.environment_key(layout) != first


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch accounts, so only root needs a house")
def test_another_account_runs_the_environment_and_the_code_from_the_house(request: pytest.FixtureRequest) -> None:
    nobody = pwd.getpwnam("nobody")
    account = Account(name="nobody", uid=nobody.pw_uid, gid=nobody.pw_gid)
    base = Path("/var/lib/dts-sandbox") / f"test-{os.getpid()}"
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", base], check=True))
    layout = Layout(clone=Layout.of().clone, base=base)
    built = house.build(layout, account=account)
    run = subprocess.run(
        [built.programs.python, "-c", "import include.topology, psycopg, sys; print(include.__file__)"],
        env={**built.programs.environment_variables, "PYTHONPATH": str(built.root)},
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.strip() == str(built.root / "include" / "__init__.py")
