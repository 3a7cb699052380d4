"""An SFTP server: OpenSSH where the system has it, else an asyncssh server process; both look the same from outside.

    with Sftp.running(folder) as server:
        asyncssh.connect(server.host, server.port, username=server.user,
                         client_keys=[str(server.client_key.private)], known_hosts=str(server.known_hosts))

Paths are the machine's own absolute paths: there is no chroot (it would need root), so a client asks for the absolute
path of a DataLocation's root, as it would at a real site. The account that the server runs as protects other sites.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from include.errors import SandboxError
from include.sandbox import programs as environment
from include.sandbox.accounts import (
    Account,
    private_file,
    private_folder,
    running_as_root,
)
from include.sandbox.keys import KeyPair
from include.sandbox.ports import LOOPBACK, answers
from include.sandbox.programs import Programs
from include.sandbox.server import Server

_PRIVILEGE_SEPARATION_FOLDER = Path("/run/sshd")
SSHD_CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {host_key}
AuthorizedKeysFile {authorized_keys}
AuthenticationMethods publickey
PermitRootLogin prohibit-password
# The folders above may be world-writable (/tmp); the keys themselves are 0600 and made by us.
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""
"""An OpenSSH server with a key of ours for one account, and its defaults otherwise."""
_MORE = """\
# A transfer opens several connections at once; the defaults turn the eleventh away.
MaxStartups 100
MaxSessions 100
ForceCommand internal-sftp
DisableForwarding yes
LogLevel INFO
"""


class Implementation(StrEnum):
    """Which server it is."""

    OPENSSH = "openssh"
    ASYNCSSH = "asyncssh"


class Sftp(Server):
    """One SFTP server that shows the files of the account it runs as. `folder` gets its keys, configuration and log."""

    host = LOOPBACK

    def __init__(
        self,
        *,
        folder: Path,
        port: int | None = None,
        setting: str | None = None,
        programs: Programs | None = None,
        code: Path | None = None,
        account: Account | None = None,
        implementation: Implementation | None = None,
    ) -> None:
        super().__init__(f"SFTP server of {_user(account)}", folder=folder, port=port, setting=setting, account=account)
        self.implementation = implementation or default_implementation()
        self._programs = programs or Programs.of_this_environment()
        self._code = code or Path(__file__).resolve().parents[2]
        private_folder(folder, account=account)
        self.host_key = KeyPair.made(folder / "host_key", account=account)

    @classmethod
    @contextmanager
    def running(
        cls,
        folder: Path,
        *,
        port: int | None = None,
        implementation: Implementation | None = None,
    ) -> Iterator["RunningSftp"]:
        """Have a server for the length of a with block, with a client key that it lets in.

        Raises:
            SandboxError: the port is taken, or the server did not start.
        """
        with RunningSftp(folder=folder, port=port, implementation=implementation) as server:
            server.start(authorized=(server.client_key.public,))
            yield server

    @property
    def user(self) -> str:
        """The account to log in as."""
        return _user(self.account)

    @property
    def known_hosts_line(self) -> str:
        """What a client puts into its known_hosts."""
        return f"[{self.host}]:{self.port} {self.host_key.public}"

    def start(self, *, authorized: tuple[str, ...]) -> None:
        """Start it for the owners of these public keys and return once it answers."""
        keys = private_file(
            self.folder / "authorized_keys",
            "\n".join((*authorized, "")),
            account=self.account,
        )
        arguments = self._openssh(keys) if self.implementation is Implementation.OPENSSH else self._asyncssh(keys)
        self._begin(
            *arguments,
            log="sftp.log",
            ready=lambda: answers(self.port),
            environment={"PYTHONPATH": str(self._code), **self._programs.environment_variables},
        )

    def _openssh(self, authorized_keys: Path) -> tuple[str | Path, ...]:
        sshd = environment.sshd()
        if sshd is None:
            raise SandboxError("OpenSSH was asked for, but no sshd is installed: install openssh-server.")
        if running_as_root() and self.account is None:
            _PRIVILEGE_SEPARATION_FOLDER.mkdir(mode=0o755, exist_ok=True)
        text = (SSHD_CONFIG + _MORE).format(
            port=self.port,
            address=self.host,
            host_key=self.host_key.private,
            authorized_keys=authorized_keys,
        )
        configuration = private_file(self.folder / "sshd_config", text, account=self.account)
        return (sshd, "-D", "-e", "-f", configuration)

    def _asyncssh(self, authorized_keys: Path) -> tuple[str | Path, ...]:
        where = ("--host", self.host, "--port", str(self.port))
        keys = (
            "--host-key",
            self.host_key.private,
            "--authorized-keys",
            authorized_keys,
        )
        return (
            self._programs.python,
            "-m",
            "include.sandbox.sftp_server",
            *where,
            *keys,
        )


class RunningSftp(Sftp):
    """A server with a client key of its own, for tests."""

    def __init__(self, *, folder: Path, port: int | None, implementation: Implementation | None) -> None:
        super().__init__(folder=folder, port=port, implementation=implementation)
        self.client_key = KeyPair.made(folder / "client_key")
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"{self.known_hosts_line}\n")


def _user(account: Account | None) -> str:
    return account.name if account else pwd.getpwuid(os.geteuid()).pw_name


def default_implementation() -> Implementation:
    """Return OpenSSH where it is installed: it is what sites run."""
    return Implementation.OPENSSH if environment.sshd() else Implementation.ASYNCSSH
