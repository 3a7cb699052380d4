"""What other accounts can reach, and copies that they can. Nobody's folder is ever opened for it."""

import os
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

_ENTER = stat.S_IXOTH
_READ = stat.S_IROTH


def is_reachable_by_others(path: Path) -> bool:
    """Tell whether any account may enter `path` (a folder) or read it (a file), judged by the mode bits."""
    resolved = path.resolve()
    needed = _ENTER | _READ if resolved.is_dir() else _READ
    if not _has(resolved, needed):
        return False
    return all(_has(parent, _ENTER) for parent in resolved.parents)


def link_tree(
    source: Path,
    target: Path,
    *,
    skip: Callable[[str, list[str]], Iterable[str]] | None = None,
) -> None:
    """Copy a folder as hard links, so that it costs neither time nor space; symbolic links stay what they are.

    A file is copied instead where it lies on another device, or where others may not read it: changing the mode of a
    link would change the original. `skip` is what shutil.copytree calls `ignore`.
    """
    shutil.copytree(
        source,
        target,
        symlinks=True,
        ignore=_ignoring(skip),
        copy_function=_link,
        dirs_exist_ok=True,
    )
    for folder, _, _ in os.walk(target):
        os.chmod(folder, 0o755)


def copy_tree(
    source: Path,
    target: Path,
    *,
    skip: Callable[[str, list[str]], Iterable[str]] | None = None,
) -> None:
    """Copy a folder afresh, readable by others."""
    shutil.copytree(
        source,
        target,
        symlinks=True,
        ignore=_ignoring(skip),
        copy_function=_copy,
        dirs_exist_ok=True,
    )
    for folder, _, _ in os.walk(target):
        os.chmod(folder, 0o755)


def _ignoring(
    skip: Callable[[str, list[str]], Iterable[str]] | None,
) -> Callable[[str, list[str]], set[str]] | None:
    return None if skip is None else (lambda folder, names: set(skip(folder, names)))


def _link(source: str, target: str) -> str:
    if not os.stat(source).st_mode & _READ:
        return _copy(source, target)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return _copy(source, target)
    return target


def _copy(source: str, target: str) -> str:
    shutil.copy2(source, target, follow_symlinks=False)
    if not os.path.islink(target):
        os.chmod(
            target,
            os.stat(target).st_mode | 0o444 | (0o111 if os.access(source, os.X_OK) and _executable(source) else 0),
        )
    return target


def _executable(path: str) -> bool:
    return bool(os.stat(path).st_mode & stat.S_IXUSR)


def _has(path: Path, bits: int) -> bool:
    return path.stat().st_mode & bits == bits
