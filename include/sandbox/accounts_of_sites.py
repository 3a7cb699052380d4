"""The accounts of a sandbox that root runs: one for each site, one for what stands in the middle.

They share a group, which owns what all of them write (task logs) and the copy of the code; site folders are 0700.
"""

import grp
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from include.errors import SandboxError
from include.sandbox.accounts import Account, running_as_root

GROUP = "dts-sandbox"
CONTROL = "dts-control"


@dataclass(frozen=True)
class Accounts:
    """Whom the processes run as; None everywhere where an ordinary user runs the sandbox."""

    control: Account | None
    sites: dict[str, Account]

    def of_site(self, short_name: str) -> Account | None:
        """Return the account of a site."""
        return self.sites.get(short_name)

    @property
    def group_id(self) -> int | None:
        """The common group."""
        return self.control.gid if self.control else None


def prepare(sites: tuple[str, ...], *, record: Path) -> Accounts:
    """Return the accounts; root makes those that are missing and notes them in the file `record`.

    Raises:
        SandboxError: the system refuses.
    """
    if not running_as_root():
        return Accounts(control=None, sites={})
    _make_group()
    return Accounts(
        control=_made(CONTROL, record=record), sites={site: _made(f"dts-{site}", record=record) for site in sites}
    )


def remove_made(record: Path) -> None:
    """Remove the accounts that `prepare` made, and their group."""
    names = record.read_text().split() if record.exists() else []
    for name in names:
        _system("userdel", name)
    if names:
        _system("groupdel", GROUP)
    record.unlink(missing_ok=True)


def _make_group() -> None:
    try:
        grp.getgrnam(GROUP)
    except KeyError:
        _system("groupadd", "--system", GROUP)


def _made(name: str, *, record: Path) -> Account:
    try:
        pwd.getpwnam(name)
    except KeyError:
        nologin = shutil.which("nologin", path="/usr/sbin:/sbin:/usr/bin") or "/bin/false"
        options = ("--system", "--gid", GROUP, "--no-create-home", "--home-dir", "/nonexistent", "--shell", nologin)
        _system("useradd", *options, name)
        with record.open("a") as file:
            file.write(f"{name}\n")
    return Account.named(name)


def _system(program: str, *arguments: str) -> None:
    path = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        raise SandboxError(
            f"{program} is missing: install it (package `passwd`), or run the sandbox as an ordinary user."
        )
    run = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        raise SandboxError(f"{program} {' '.join(arguments)} failed: {run.stderr.strip()}")
