"""The house: what the sites' accounts need to read where root runs the sandbox from a folder that only root may enter.

The interpreter and the environment are hard links of the clone's, made once for each lock file and interpreter; the
code is a fresh copy at every start. Nobody's folder is opened for it. An ordinary user needs no house: there is one
account.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from include.errors import SandboxError
from include.sandbox.accounts import Account
from include.sandbox.layout import Layout
from include.sandbox.programs import Programs
from include.sandbox.reach import copy_tree, link_tree

CODE = ("include", "dags", "plugins")
CLONE_RECORD = "clone"
"""A file in each house: the path of the clone it belongs to."""
_PROBE = "import asyncssh, encodings, psutil"
"""A program that cannot run where the interpreter, its library or the packages cannot be read."""
_NOT_NEEDED = frozenset({"test", "idlelib", "turtledemo", "ensurepip", "site-packages", "tkinter", "lib2to3"})


@dataclass(frozen=True)
class House:
    """Code and programs that every account of the sandbox can read."""

    root: Path
    """Holds include/, dags/ and plugins/: what PYTHONPATH names."""
    programs: Programs


def build(layout: Layout, *, account: Account | None) -> House:
    """Return what `account` and its like can read; None is whoever runs this, who can read the clone.

    Raises:
        SandboxError: the account cannot run the interpreter, in the house neither.
    """
    programs = Programs.of_this_environment()
    if account is None:
        return House(root=layout.clone, programs=programs)
    layout.base.mkdir(parents=True, exist_ok=True)
    layout.base.parent.chmod(0o711)
    layout.base.chmod(0o711)
    (layout.base / CLONE_RECORD).write_bytes(os.fsencode(layout.clone))
    root = _copied_code(layout, group_id=account.gid)
    if _can_run(programs, account=account):
        return House(root=root, programs=programs)
    linked = _linked_environment(layout.base / "environments" / environment_key(layout))
    if not _can_run(linked, account=account):
        raise SandboxError(
            f"The account {account.name} cannot run {linked.python}: is {layout.base} on a noexec mount?"
        )
    return House(root=root, programs=linked)


def environment_key(layout: Layout) -> str:
    """Return what changes with the lock file, the interpreter or the installed packages (16 hex digits)."""
    packages = Programs.of_this_environment().site_packages.glob("*.dist-info")
    described = [f"{path.name} {path.stat().st_mtime_ns}" for path in sorted(packages)]
    lock = (layout.clone / "requirements.lock").read_bytes()
    interpreter = f"{sys.version} {Path(sys.executable).resolve()}"
    return hashlib.sha256(b"\0".join((lock, interpreter.encode(), *(line.encode() for line in described)))).hexdigest()[
        :16
    ]


def _copied_code(layout: Layout, *, group_id: int) -> Path:
    root = layout.base / "code"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o750)
    os.chown(root, 0, group_id)
    root.chmod(0o750)
    for name in CODE:
        if (layout.clone / name).is_dir():
            copy_tree(layout.clone / name, root / name, skip=_bytecode)
    subprocess.run([sys.executable, "-m", "compileall", "-q", root], check=False, capture_output=True)
    return root


def _linked_environment(folder: Path) -> Programs:
    """Link interpreter and environment into `folder`, unless that has been done."""
    linked = Programs(folder / "environment", libraries=folder / "python" / "lib")
    if folder.exists():
        return linked
    building = folder.with_suffix(".building")
    shutil.rmtree(building, ignore_errors=True)
    _drop_others(folder.parent)
    building.mkdir(parents=True)
    _link_interpreter(building / "python")
    link_tree(Path(sys.prefix), building / "environment")
    python = building / "environment" / "bin" / "python"
    python.unlink()
    python.symlink_to(Path("../../python/bin") / _interpreter().name)
    configuration = (Path(sys.prefix) / "pyvenv.cfg").read_text().splitlines()
    lines = [f"home = {folder}/python/bin" if line.startswith("home") else line for line in configuration]
    (building / "environment" / "pyvenv.cfg").unlink()
    (building / "environment" / "pyvenv.cfg").write_text("\n".join((*lines, "")))
    for path in (building, building / "environment", folder.parent):
        path.chmod(0o755)
    building.replace(folder)
    return linked


def _drop_others(environments: Path) -> None:
    """Remove environments of earlier lock files."""
    if environments.exists():
        for old in environments.iterdir():
            shutil.rmtree(old, ignore_errors=True)


def _link_interpreter(target: Path) -> None:
    """Link what the interpreter needs at run time: its program, its library, the standard library."""
    (target / "bin").mkdir(parents=True)
    (target / "lib").mkdir()
    prefix = Path(sys.base_prefix)
    shutil.copy2(_interpreter(), target / "bin" / _interpreter().name)
    for library in (prefix / "lib").glob("libpython*"):
        shutil.copy2(library.resolve(), target / "lib" / library.name)
    standard = f"python{sys.version_info.major}.{sys.version_info.minor}"
    link_tree(prefix / "lib" / standard, target / "lib" / standard, skip=_not_needed)
    for path in (target, target / "bin", target / "lib"):
        path.chmod(0o755)


def _interpreter() -> Path:
    return Path(sys.executable).resolve()


def _not_needed(folder: str, names: list[str]) -> Iterable[str]:
    if Path(folder).parent != Path(sys.base_prefix) / "lib":
        return ()
    return [name for name in names if name in _NOT_NEEDED or name.startswith("config-")]


def _bytecode(_: str, names: list[str]) -> Iterable[str]:
    return [name for name in names if name == "__pycache__"]


def _can_run(programs: Programs, *, account: Account) -> bool:
    try:
        run = subprocess.run(
            [programs.python, "-I", "-c", _PROBE],
            capture_output=True,
            check=False,
            cwd="/",
            env=programs.environment_variables,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
        )
    except (PermissionError, FileNotFoundError):
        return False
    return run.returncode == 0
