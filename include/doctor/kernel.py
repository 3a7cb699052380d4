"""What this host's kernel says about TCP. A setting that cannot be read (another system, a container) is None."""

from dataclasses import dataclass
from pathlib import Path

_SYS = Path("/proc/sys")


@dataclass(frozen=True, slots=True)
class Kernel:
    """Buffers in bytes: the largest that a connection may grow to, and the largest that a program may ask for."""

    receive_buffer_bytes: int | None
    send_buffer_bytes: int | None
    receive_asked_bytes: int | None
    send_asked_bytes: int | None
    control: str | None
    controls: tuple[str, ...]
    """The congestion controls that are loaded."""
    window_scaling: bool | None
    slow_start_after_idle: bool | None
    mtu_probing: int | None

    @property
    def buffer_bytes(self) -> int | None:
        """What ends a connection between two hosts set like this one: the sender's buffer or the receiver's."""
        if self.receive_buffer_bytes is None or self.send_buffer_bytes is None:
            return None
        smaller = min(self.receive_buffer_bytes, self.send_buffer_bytes)
        return smaller if self.window_scaling is not False else min(smaller, 2 * 65_535)


def read_kernel(root: Path = _SYS) -> Kernel:
    """Read the settings of the network this process is in."""
    tcp, core = root / "net/ipv4", root / "net/core"
    control = _words(tcp / "tcp_congestion_control")
    scaling, idle = _number(tcp / "tcp_window_scaling"), _number(tcp / "tcp_slow_start_after_idle")
    return Kernel(
        receive_buffer_bytes=_number(tcp / "tcp_rmem"),
        send_buffer_bytes=_number(tcp / "tcp_wmem"),
        receive_asked_bytes=_number(core / "rmem_max"),
        send_asked_bytes=_number(core / "wmem_max"),
        control=control[0] if control else None,
        controls=_words(tcp / "tcp_available_congestion_control"),
        window_scaling=None if scaling is None else scaling != 0,
        slow_start_after_idle=None if idle is None else idle != 0,
        mtu_probing=_number(tcp / "tcp_mtu_probing"),
    )


def _number(path: Path) -> int | None:
    """The last of the numbers: of `tcp_rmem` the largest."""
    words = _words(path)
    return int(words[-1]) if words and words[-1].isdecimal() else None


def _words(path: Path) -> tuple[str, ...]:
    try:
        return tuple(path.read_text().split())
    except OSError:
        return ()
