"""Pushes what an order says and prints what came of it: `python -m tests.transfer.push_once ORDER.json`.

A program of its own so that it can be killed. With `watch`, a line on stderr for every block that is kept.
"""

import json
import sys
from pathlib import Path

from include.integrity.manifest import PackageManifest
from include.storage.disk import DiskStorage
from include.storage.sftp import SftpStorage
from include.storage.sftp_connection import SftpAddress
from include.transfer.adapt import Decision
from include.transfer.blocks import Item
from include.transfer.pulled import Progress
from include.transfer.push import Destination, push
from include.transfer.terms import Terms


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    items = [Item(path, PackageManifest.model_validate(content)) for path, content in order["items"]]
    address = SftpAddress(**order["address"])

    def kept(step: Progress) -> None:
        sys.stderr.write(f"{step.item.path} kept, {step.bytes_sent} bytes over {step.streams} connections\n")
        sys.stderr.flush()

    def decided(decision: Decision) -> None:
        sys.stderr.write(f"decided: {decision.why}\n")

    done = push(
        items,
        origin="ccat_buffer",
        source=DiskStorage(order["origin"]),
        destination=Destination("cologne_buffer", SftpStorage(address)),
        terms=Terms(on_progress=kept, on_decision=decided),
    )
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    found = {"sent": done.bytes_sent, "skipped": done.bytes_skipped, "finished": done.finished}
    sys.stdout.write(json.dumps(found | {"peak_kb": int(peak.split()[1])}) + "\n")


if __name__ == "__main__":
    main()
