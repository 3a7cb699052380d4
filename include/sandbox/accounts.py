"""System accounts: whom the processes of the sandbox run as. Only root can switch, so an ordinary user has none."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Account:
    """A system account that a process drops to."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the existing account `name`; KeyError where there is none."""
        entry = pwd.getpwnam(name)
        return cls(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def running_as_root() -> bool:
    """Tell whether this process may switch accounts."""
    return os.geteuid() == 0


def unprivileged_account() -> Account | None:
    """Return whom a program runs as that refuses root: `nobody` for root, otherwise None, which is oneself."""
    return Account.named("nobody") if running_as_root() else None


def own(path: Path, *, account: Account | None) -> None:
    """Give a file or folder to `account`; None leaves it where it is."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def private_folder(path: Path, *, account: Account | None) -> Path:
    """Make a folder that only `account` (and root) may enter, and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    own(path, account=account)
    return path


def private_file(path: Path, text: str, *, account: Account | None = None) -> Path:
    """Write a file that only `account` (and root) may read, and return it."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    own(path, account=account)
    return path
