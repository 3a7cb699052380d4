"""Kills a pull with SIGKILL before each line of include/transfer that it runs, in turn, and goes on from there.

`python -m tests.transfer.crash ORIGIN DESTINATION PATH BLOCK_BYTES WAY`, a program of its own because it forks. `WAY`
is `streamed` or `same-host`. For each line it prints: journaled bytes when it died, whether a final file was there,
bytes read by the pull that followed (same-host: bytes sent).
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType

import include.transfer
from include.storage.disk import DiskStorage
from include.transfer.blocks import Item
from include.transfer.pull import pull
from include.transfer.pulled import Origin
from tests.transfer.samples import CountingStorage, item_of

ENGINE = str(Path(include.transfer.__file__).parent)


class _Killer:
    """A trace function that ends the process before the n-th line of the engine."""

    def __init__(self, lines: int) -> None:
        self.left = lines

    def __call__(self, frame: FrameType, event: str, _: object) -> "_Killer | None":
        if not frame.f_code.co_filename.startswith(ENGINE):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def origin_at(folder: Path, way: str) -> DiskStorage:
    """One that is read as any storage is, or one that the kernel copies from."""
    return CountingStorage(folder) if way == "streamed" else DiskStorage(folder)


def die_at_line(number: int, item: Item, *, origin: DiskStorage, destination: Path) -> bool:
    """False if the pull ended before it came to that line."""
    child = os.fork()
    if child == 0:
        sys.settrace(_Killer(number))
        pull([item], origin=Origin("origin", origin), root=destination)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"the pull failed by itself: {status}")
    return False


def journaled_bytes(item: Item, destination: Path) -> int:
    """Read independently of the engine: whole lines that name a block."""
    journal = destination / f"{item.path}.journal"
    if not journal.exists() or not (destination / f"{item.path}.part").exists():
        return 0
    lines = journal.read_text().split("\n")[:-1]
    numbers = {int(line.split()[2]) for line in lines if len(line.split()) == 4}
    size, block = item.content.size_bytes, item.content.block_bytes
    return sum(min(block, size - number * block) for number in numbers)


def without_waiting_for_the_disk() -> None:
    """What was written outlives a killed process in the page cache; fsync would only take its time, 20 times a line."""
    os.fsync = os.fdatasync = lambda _: None  # type: ignore[assignment]


def main() -> None:
    without_waiting_for_the_disk()
    origin, destinations, way = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[5]
    item = item_of((origin / sys.argv[3]).read_bytes(), path=sys.argv[3], block_bytes=int(sys.argv[4]))
    number, died = 0, True
    while died:
        number += 1
        destination = destinations / str(number)
        destination.mkdir(parents=True)
        died = die_at_line(number, item, origin=origin_at(origin, way), destination=destination)
        final = destination / item.path
        was_final, kept = final.exists(), journaled_bytes(item, destination)
        whole_at_death = not was_final or final.read_bytes() == (origin / item.path).read_bytes()
        storage = origin_at(origin, way)
        pulled = pull([item], origin=Origin("origin", storage), root=destination)
        whole = final.read_bytes() == (origin / item.path).read_bytes()
        left = sorted(path.name for path in final.parent.iterdir())
        clean = left == [final.name]
        read = storage.bytes_read if isinstance(storage, CountingStorage) else pulled.bytes_sent
        found = (kept, was_final, read, pulled.bytes_sent, whole, whole_at_death, clean)
        sys.stdout.write(" ".join(str(int(word)) for word in found) + "\n")


if __name__ == "__main__":
    main()
