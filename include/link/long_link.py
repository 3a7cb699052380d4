"""A long link for the length of a with block: delay, rate, loss and queue of an ocean cable, cut and mended at will.

    with LongLink.up() as link:                       # 250 ms round trip, 1 Gbit/s, 0.01 % loss
        link.tune(Tuning.STOCK)
        subprocess.run(link.command(Host.B, "iperf3", "-c", link.address(Host.A)))

The two hosts are network namespaces; they share the machine's files and processors. Needs root, /dev/net/tun, iproute2
and gcc: `why_not` says what is missing.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from include.errors import SandboxError

_PROGRAM = Path(__file__).with_name("wan")


class Host(StrEnum):
    """One of the two ends."""

    A = "a"
    B = "b"


class Tuning(StrEnum):
    """TCP buffers and congestion control of both hosts: as Linux comes (6 MB, cubic), or 256 MB and bbr."""

    STOCK = "stock"
    LONG = "long"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the link is like: one way delay, rate, loss per packet of 1500 bytes, and how much its queue holds."""

    delay_ms: float = 125
    rate_mbit: float = 1000
    loss: float = 0.0001
    queue_ms: float = 250

    @property
    def words(self) -> tuple[str, ...]:
        """As the program takes them."""
        return (str(self.delay_ms), str(self.rate_mbit), str(self.loss), str(self.queue_ms))


OCEAN = Shape()
"""Chile to Germany."""


class LongLink:
    """A link that is up. Made by `up`."""

    def __init__(self, *, name: str, folder: Path) -> None:
        self.name = name
        self._environment = {**os.environ, "WAN_NAME": name, "WAN_DIR": str(folder)}

    @staticmethod
    def why_not() -> str | None:
        """Return what is missing on this machine for a link, as a sentence; None if nothing is."""
        if os.geteuid() != 0:
            return "a test link needs root (network namespaces)"
        if not Path("/dev/net/tun").exists():
            return "a test link needs /dev/net/tun"
        missing = [program for program in ("ip", "gcc", "sysctl", "setsid") if shutil.which(program) is None]
        return f"a test link needs what is not installed: {', '.join(missing)}" if missing else None

    @classmethod
    @contextmanager
    def up(cls, *, folder: Path, name: str = "dts", shape: Shape = OCEAN) -> Iterator["LongLink"]:
        """Have a link; `folder` keeps its log. Links of different names live side by side.

        Raises:
            SandboxError: it cannot be had here, or did not start.
        """
        missing = cls.why_not()
        if missing:
            raise SandboxError(missing)
        link = cls(name=name, folder=folder)
        try:
            link._wan("up", *shape.words)
            yield link
        finally:
            link._wan("down")

    def tune(self, tuning: Tuning) -> None:
        """Set what connections made from now on are like, at both hosts."""
        self._wan("tune", tuning.value)

    def cut(self) -> None:
        """Lose every packet from now on."""
        self._wan("cut")

    def mend(self) -> None:
        """Carry packets again."""
        self._wan("mend")

    @staticmethod
    def address(host: Host) -> str:
        """Return the host's IP address, as the other one sees it."""
        return {Host.A: "10.77.0.1", Host.B: "10.77.0.2"}[host]

    def command(self, host: Host, *words: str | Path) -> list[str]:
        """Return the command that runs `words` on one of the hosts."""
        return ["ip", "netns", "exec", f"{self.name}-{host.value}", *(str(word) for word in words)]

    def _wan(self, *words: str) -> None:
        done = subprocess.run(
            [str(_PROGRAM), *words], env=self._environment, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode != 0:
            raise SandboxError(f"the test link did not do {words[0]!r}: {done.stderr.strip() or done.stdout.strip()}")
