"""The two hosts of a benchmark: the bytes at the source with their manifests, and an OpenSSH server that shows them."""

import os
import pwd
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from include.integrity.checksum import BlockHasher
from include.integrity.manifest import PackageManifest
from include.link.long_link import Host, LongLink
from include.sandbox.keys import KeyPair
from include.sandbox.sftp import SSHD_CONFIG
from tests.bench.pull_once import Listed

CHUNK = 16 * 1024 * 1024
PORT = 2222


@dataclass(frozen=True)
class Packages:
    """Files at the source: `count` of `size_bytes` each."""

    root: Path
    manifests: Path
    names: tuple[str, ...]
    size_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.size_bytes * len(self.names)


def make_packages(folder: Path, *, count: int, size_bytes: int) -> Packages:
    """Random bytes: what is sent is what a compressing tool could not shrink."""
    root = folder / f"{count}x{size_bytes}"
    manifests = folder / f"{count}x{size_bytes}.json"
    names = tuple(f"{number // 200:03d}/package_{number:05d}.tar" for number in range(count))
    if not manifests.exists():
        listed = [(name, _make(root / name, size_bytes=size_bytes, seed=number)) for number, name in enumerate(names)]
        manifests.write_text(Listed(packages=listed).model_dump_json())
    return Packages(root, manifests, names, size_bytes)


def _make(path: Path, *, size_bytes: int, seed: int) -> PackageManifest:
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher = BlockHasher()
    some = random.Random(seed).randbytes(min(CHUNK, size_bytes))
    with path.open("wb") as file:
        left, number = size_bytes, 0
        while left:
            chunk = (number.to_bytes(8, "big") + some)[: min(len(some), left)]
            file.write(chunk)
            hasher.update(chunk)
            left -= len(chunk)
            number += 1
    found = hasher.value()
    return PackageManifest(
        name=path.stem, size_bytes=found.size_bytes, checksum=found.checksum, block_bytes=found.block_bytes,
        block_checksums=found.block_checksums, members=(),
    )  # fmt: skip


@dataclass(frozen=True)
class Server:
    """An sshd at the source. `link` is None on loopback."""

    link: LongLink | None
    address: str
    port: int
    user: str
    key: Path
    host_key: str
    known_hosts: Path
    process: "subprocess.Popen[bytes]"

    def here(self, *words: str | Path) -> list[str]:
        """The command as the destination runs it."""
        return [str(word) for word in words] if self.link is None else self.link.command(Host.B, *words)

    def there(self, *words: str | Path) -> list[str]:
        """The command as the source runs it."""
        return [str(word) for word in words] if self.link is None else self.link.command(Host.A, *words)

    def cpu_seconds(self) -> float:
        """Of the server and all connections that have ended."""
        words = self._sshd_stat().rpartition(")")[2].split()
        return sum(int(word) for word in words[11:15]) / os.sysconf("SC_CLK_TCK")

    def _sshd_stat(self) -> str:
        """`ip netns exec` becomes the program that it runs: the process is sshd itself."""
        return Path(f"/proc/{self.process.pid}/stat").read_text()


@contextmanager
def serving(folder: Path, *, link: LongLink | None) -> Iterator[Server]:
    address = "127.0.0.1" if link is None else link.address(Host.A)
    port = PORT + (link is None)
    folder.mkdir(parents=True, exist_ok=True)
    host_key, client_key = KeyPair.made(folder / "host_key"), KeyPair.made(folder / "client_key")
    authorized = folder / "authorized_keys"
    authorized.write_text(f"{client_key.public}\n")
    known = folder / "known_hosts"
    known.write_text(f"[{address}]:{port} {host_key.public}\n")
    config = folder / "sshd_config"
    # OpenSSH's defaults otherwise: MaxStartups 10:30:100 too.
    text = SSHD_CONFIG.format(port=port, address=address, host_key=host_key.private, authorized_keys=authorized)
    config.write_text(f"{text}LogLevel ERROR\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    words = ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(words if link is None else link.command(Host.A, *words), stderr=log)
    user = pwd.getpwuid(os.geteuid()).pw_name
    server = Server(link, address, port, user, client_key.private, host_key.public, known, process)
    try:
        _wait_for(server)
        yield server
    finally:
        process.terminate()
        process.wait()


def _wait_for(server: Server) -> None:
    for _ in range(50):
        asked = subprocess.run(
            server.there("ssh-keyscan", "-T", "2", "-p", str(server.port), server.address),
            capture_output=True,
            check=False,
        )
        if asked.stdout:
            return
        time.sleep(0.1)
    raise RuntimeError("the benchmark's sshd does not answer: see sshd.log")
