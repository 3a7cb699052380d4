"""How much the spool holds, known without looking each time: that may take longer than an instrument should wait."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import SpoolFullError

MEASURED_EVERY_SECONDS = 30.0


@dataclass(frozen=True)
class Limits:
    """What a spool may grow to while the server is away."""

    bytes_max: int = 512 * 1024 * 1024
    """About three million files."""
    observations_max: int = 10_000


class Usage:
    """Measured now and then in a thread of its own; in between what this process adds is counted."""

    def __init__(self, folder: Path, *, limits: Limits) -> None:
        self._folder = folder
        self._limits = limits
        self._bytes, self._observations = _measure(folder)
        self._measured_at = time.monotonic()
        self._measuring: threading.Thread | None = None

    def require_room(self, size_bytes: int, *, observations: int = 0) -> None:
        """Count what is about to be added.

        Raises:
            SpoolFullError: the spool has reached its limit.
        """
        self._measure_again()
        has_room = (
            self._bytes + size_bytes <= self._limits.bytes_max
            and self._observations + observations <= self._limits.observations_max
        )
        if not has_room:
            raise SpoolFullError(
                f"The spool {self._folder} holds {self._bytes / 1e6:.1f} MB of {self._observations:,} observations, and"
                f" may hold {self._limits.bytes_max / 1e6:.1f} MB of {self._limits.observations_max:,}; nothing was"
                " added. `dts-file status` says why it is not sent: mend that, or allow the spool more."
            )
        self._bytes += size_bytes
        self._observations += observations

    def _measure_again(self) -> None:
        if time.monotonic() - self._measured_at < MEASURED_EVERY_SECONDS:
            return
        if self._measuring is not None and self._measuring.is_alive():
            return
        self._measuring = threading.Thread(target=self._measure, name="dts-file usage", daemon=True)
        self._measuring.start()

    def _measure(self) -> None:
        self._bytes, self._observations = _measure(self._folder)
        self._measured_at = time.monotonic()


def _measure(folder: Path) -> tuple[int, int]:
    """Return bytes and observations. With scandir, for it runs beside the instrument's work."""
    size_bytes, count = 0, 0
    with suppress(OSError), os.scandir(folder) as observations:  # what is removed meanwhile needs no room
        for observation in observations:
            count += 1
            with suppress(OSError), os.scandir(observation) as files:
                size_bytes += sum(file.stat().st_size for file in files)
    return size_bytes, count
