"""Which programs and which processor do the work here."""

import platform
import resource
import ssl
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from cryptography.hazmat.backends.openssl.backend import backend

_CPU = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Programs:
    """`openssl` is what asyncssh encrypts with. `has_aes` is None where the processor does not say."""

    python: tuple[int, ...]
    openssl: str
    python_openssl: str
    asyncssh: str
    has_aes: bool | None
    open_files: int
    """How many files a process may have open (soft limit); -1 for no limit."""


def read_programs(*, cpu: Path = _CPU) -> Programs:
    """Ask this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Programs(
        python=tuple(int(part) for part in platform.python_version_tuple() if part.isdecimal()),
        openssl=backend.openssl_version_text(),
        python_openssl=ssl.OPENSSL_VERSION,
        asyncssh=asyncssh.__version__,
        has_aes=_has_aes(cpu),
        open_files=-1 if soft == resource.RLIM_INFINITY else soft,
    )


def _has_aes(cpu: Path) -> bool | None:
    """Both x86 (`flags`) and ARM (`Features`) call it `aes`."""
    try:
        lines = cpu.read_text().splitlines()
    except OSError:
        return None
    said = [line for line in lines if line.split(":")[0].strip().lower() in ("flags", "features")]
    return "aes" in said[0].split(":", 1)[1].split() if said else None
