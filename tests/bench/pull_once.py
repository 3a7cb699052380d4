"""One transfer by the engine, in a process of its own: `python -m tests.bench.pull_once ORDER.json`; prints JSON.

The order is an Order as JSON. Time runs from the call of `pull`, connects included.
"""

import resource
import sys
import time
from contextlib import closing
from pathlib import Path

from pydantic import BaseModel

from include.integrity.manifest import PackageManifest
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.transfer.adapt import Decision
from include.transfer.blocks import Item, Twin
from include.transfer.compressed_twin import twin_path
from include.transfer.pull import pull
from include.transfer.pulled import Origin, Progress
from include.transfer.terms import Terms


class Order(BaseModel):
    host: str
    port: int
    user: str
    key: str
    host_key: str
    root: str
    destination: str
    manifests: str
    seconds: float = 1800
    watch: bool = False
    twins: dict[str, tuple[int, ...]] = {}
    """By path: the frames of those that come compressed."""


class Outcome(BaseModel):
    bytes: int
    received_bytes: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    last_twentieth: float
    """The part of the time that the last 5 % of the bytes took."""
    first_byte_seconds: float
    finished: bool
    decisions: list[str]


class Listed(BaseModel):
    """The file `manifests`."""

    packages: list[tuple[str, PackageManifest]]


def main() -> None:
    order = Order.model_validate_json(Path(sys.argv[1]).read_text())
    listed = Listed.model_validate_json(Path(order.manifests).read_text())
    twins = {path: Twin(twin_path(path), frame_bytes) for path, frame_bytes in order.twins.items()}
    items = [Item(path, manifest, twins.get(path)) for path, manifest in listed.packages]
    address = SftpAddress(
        host=order.host, port=order.port, username=order.user, private_key_path=order.key,
        host_key=order.host_key, root=order.root,
    )  # fmt: skip
    total = sum(item.content.size_bytes for item in items)
    steps: list[tuple[float, int]] = []
    decisions: list[str] = []
    began = time.perf_counter()

    def progressed(step: Progress) -> None:
        steps.append((time.perf_counter() - began, step.bytes_sent))
        if order.watch:
            sys.stderr.write(
                f"{steps[-1][0]:6.1f} s {step.bytes_received / 1e6:8.0f} MB received,"
                f" {step.bytes_sent / 1e6:8.0f} kept, {step.rate / 1e6:6.1f} MB/s, {step.streams} streams\n"
            )

    def decided(decision: Decision) -> None:
        decisions.append(f"{time.perf_counter() - began:.1f} s: {decision.why}")
        if order.watch:
            sys.stderr.write(decisions[-1] + "\n")

    with closing(SftpStorage(address)) as storage:
        pulled = pull(
            items, origin=Origin("source", storage), root=Path(order.destination),
            terms=Terms(on_progress=progressed, on_decision=decided, yield_after_seconds=order.seconds),
        )  # fmt: skip
    seconds = time.perf_counter() - began
    used, by_second = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    at = next((moment for moment, sent in steps if sent >= 0.95 * total), seconds)
    outcome = Outcome(
        bytes=pulled.bytes_sent, received_bytes=pulled.bytes_received, seconds=seconds,
        cpu_seconds=used.ru_utime + used.ru_stime + by_second.ru_utime + by_second.ru_stime,
        peak_mb=used.ru_maxrss / 1024, last_twentieth=(seconds - at) / seconds,
        first_byte_seconds=steps[0][0] if steps else seconds, finished=pulled.finished, decisions=decisions,
    )  # fmt: skip
    sys.stdout.write(outcome.model_dump_json() + "\n")


if __name__ == "__main__":
    main()
