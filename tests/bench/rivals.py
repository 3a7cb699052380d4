"""What a user would pick instead: each as the command line that its manual recommends for a long link."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.places import Packages, Server

CIPHER = "aes128-gcm@openssh.com"
STREAMS = 32

Command = Callable[[Server, Packages, Path], list[str]]


def _ssh_options(server: Server) -> list[str]:
    return ["-i", str(server.key), "-o", f"UserKnownHostsFile={server.known_hosts}", "-c", CIPHER]


def sftp(server: Server, packages: Packages, destination: Path) -> list[str]:
    place = f"{server.user}@{server.address}:{packages.root}/*"
    return ["sftp", "-q", "-r", "-R", "128", "-P", str(server.port), *_ssh_options(server), place, str(destination)]


def rsync(server: Server, packages: Packages, destination: Path) -> list[str]:
    ssh = " ".join(["ssh", "-p", str(server.port), *_ssh_options(server)])
    return ["rsync", "-a", "-W", "-e", ssh, f"{server.user}@{server.address}:{packages.root}/", f"{destination}/"]


def rclone(server: Server, packages: Packages, destination: Path) -> list[str]:
    at_once = min(STREAMS, len(packages.names))
    place = f":sftp,host={server.address},port={server.port},user={server.user},key_file={server.key}:{packages.root}"
    return [
        _found("rclone"), "copy", "--config", "/dev/null", "--ignore-checksum", "--transfers", str(at_once),
        "--multi-thread-cutoff", "64M", "--multi-thread-streams", str(max(1, STREAMS // at_once)),
        "--sftp-concurrency", "128", "--sftp-chunk-size", "255k", place, str(destination),
    ]  # fmt: skip


def sftphook(server: Server, packages: Packages, destination: Path) -> list[str]:
    return [
        sys.executable, "-m", "tests.bench.by_sftphook", server.address, str(server.port), server.user,
        str(server.key), str(packages.root), str(destination),
    ]  # fmt: skip


def bbcp(server: Server, packages: Packages, destination: Path) -> list[str]:
    ssh = " ".join(["ssh", "-x", "-a", "-p", str(server.port), *_ssh_options(server), "%I", "-l", "%U", "%H", "bbcp"])
    place = f"{server.user}@{server.address}:{packages.root}/"
    return ["bbcp", "-z", "-r", "-s", "16", "-w", "8M", "-S", ssh, place, f"{destination}/"]


def mscp(server: Server, packages: Packages, destination: Path) -> list[str]:
    place = f"{server.user}@{server.address}:{packages.root}"
    return [
        "mscp",
        "-n",
        str(STREAMS),
        "-c",
        CIPHER,
        "-P",
        str(server.port),
        "-i",
        str(server.key),
        place,
        str(destination),
    ]


RIVALS: dict[str, Command] = {
    "sftphook": sftphook, "sftp": sftp, "rsync": rsync, "rclone": rclone, "bbcp": bbcp, "mscp": mscp,
}  # fmt: skip

_NEEDS = {"sftphook": sys.executable}


def _found(program: str) -> str:
    beside = Path(sys.executable).with_name(program)
    return str(beside) if beside.exists() else shutil.which(program) or program


def is_installed(rival: str) -> bool:
    return shutil.which(_NEEDS.get(rival, _found(rival))) is not None
