"""Measure the way to a peer: round trip, SSH connect, cipher, and reading with one connection and with many.

Read is a file that is there, from its beginning again when it ends; where there is none of some size, the zeros of
/dev/zero. Nothing is written. What comes is thrown away.
"""

import asyncio
import posixpath
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import asyncssh

from include.doctor.forecast import FAR_SECONDS
from include.doctor.rates import Rate, Sample, steady, warm_up_seconds
from include.errors import DtsError, TransientError
from include.storage.sftp_connection import SftpAddress, SftpConnection
from include.transfer.connect import MORE_TRIPS, Line, connect
from include.transfer.sftp_reads import REQUEST_BYTES

SMALLEST_BYTES = 4_000_000
"""A smaller file says more about opening files than about the line; requests wrap around in larger ones."""
LOOK_SECONDS = 5.0
LOOK_ENTRIES = 500
CONNECTS_AT_ONCE = 8
"""OpenSSH begins to turn connections away when ten have not logged in yet."""
LEAST_REQUESTS = 4
MOST_REQUESTS = 128
LINE_BYTES_PER_SECOND = 125_000_000
FAR_TIMES = 3
"""A far line is measured so much longer, and only the later two thirds count: bbr takes seconds to ramp up, and cubic
begins with several times what loss leaves it in the end (10, then 2 MB/s on the test link)."""
ZEROS = b"/dev/zero"


@dataclass(frozen=True, slots=True)
class Readable:
    """Something to read at the peer, and how people call it."""

    path: bytes
    size_bytes: int
    name: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how much one measurement may take."""

    seconds: float
    most_bytes: int


@dataclass(frozen=True, slots=True)
class PeerSpeed:
    """What was measured. `turned_away` connections could not be made; `why_not` says why nothing was read."""

    round_trip_seconds: float
    connect_seconds: float
    cipher: str
    read: str = ""
    one: Rate | None = None
    many: Rate | None = None
    streams: int = 0
    turned_away: int = 0
    why_not: str = ""


def peer_speed(
    address: SftpAddress, *, bounds: Bounds, streams_for: Callable[[float], int], is_read: bool = True
) -> PeerSpeed:
    """Measure a peer. `streams_for` says how many connections a transfer uses at a round trip.

    Without `is_read` only the connecting is measured.

    Raises:
        DtsError: the server cannot be reached, or refuses us; the message says what to change.
    """
    try:
        return asyncio.run(_measured(address, bounds=bounds, streams_for=streams_for, is_read=is_read))
    except DtsError:
        raise
    except TimeoutError as error:
        raise TransientError(f"{address.place} does not answer in time") from error
    except (asyncssh.Error, OSError) as error:
        raise SftpConnection(address).translated(error, address.root) from error


async def _measured(
    address: SftpAddress, *, bounds: Bounds, streams_for: Callable[[float], int], is_read: bool
) -> PeerSpeed:
    before = time.perf_counter()
    line = await connect(address)
    took = time.perf_counter() - before
    lines = [line]
    cipher = str(line.connection.get_extra_info("recv_cipher", "unknown"))
    try:
        await _require_root(line, address)
        # The shortest of some: what one request waited for a busy machine is no distance.
        trip = min(line.round_trip_seconds, *[await line.reads.round_trip() for _ in range(MORE_TRIPS)])
        if not is_read:
            return PeerSpeed(trip, took, cipher)
        readable = await _something_to_read(line, address)
        if readable is None:
            why = f"no file of {SMALLEST_BYTES // 1_000_000} MB or more lies in {address.root}"
            return PeerSpeed(trip, took, cipher, why_not=why)
        one = await _rate([line], readable, bounds=bounds, round_trip_seconds=trip)
        await _drop(lines)  # what it has still under way would take its part of the line
        streams = streams_for(trip)
        lines = await _more(address, streams)
        many = await _rate(lines, readable, bounds=bounds, round_trip_seconds=trip) if lines else None
        away = streams - len(lines)
        return PeerSpeed(trip, took, cipher, readable.name, one, many, streams=len(lines), turned_away=away)
    finally:
        await _drop(lines)


async def _require_root(line: Line, address: SftpAddress) -> None:
    try:
        await line.reads.attributes(address.root.encode())
    except asyncssh.SFTPError as error:
        raise SftpConnection(address).translated(error, address.root) from error


async def _more(address: SftpAddress, streams: int) -> list[Line]:
    turn = asyncio.Semaphore(CONNECTS_AT_ONCE)

    async def one() -> Line:
        async with turn:
            return await connect(address)

    made = await asyncio.gather(*(one() for _ in range(streams)), return_exceptions=True)
    return [line for line in made if isinstance(line, Line)]


async def _drop(lines: Sequence[Line]) -> None:
    for line in lines:
        line.abort("the measurement is over")
    for line in lines:
        with suppress(asyncssh.Error, OSError):
            await line.connection.wait_closed()


async def _something_to_read(line: Line, address: SftpAddress) -> Readable | None:
    with suppress(asyncssh.Error, TimeoutError):
        async with asyncio.timeout(LOOK_SECONDS):
            path, size = await _first_large(line, address.root)
            if path:
                return Readable(path.encode("utf-8", "surrogateescape"), size, posixpath.basename(path))
    with suppress(asyncssh.Error):
        if stat.S_ISCHR((await line.reads.attributes(ZEROS)).mode):
            return Readable(ZEROS, 1 << 40, "/dev/zero, there is no package yet")
    return None


async def _first_large(line: Line, root: str) -> tuple[str, int]:
    client = await line.connection.start_sftp_client(path_errors="surrogateescape")
    folders, seen = [root], 0
    async with client:
        while folders and seen < LOOK_ENTRIES:
            folder = folders.pop()
            async for entry in client.scandir(folder):
                seen += 1
                name, mode, size = str(entry.filename), entry.attrs.permissions or 0, entry.attrs.size or 0
                path = posixpath.join(folder, name)
                if stat.S_ISDIR(mode) and not name.startswith("."):
                    folders.append(path)
                elif stat.S_ISREG(mode) and size >= SMALLEST_BYTES:
                    return path, size
                if seen >= LOOK_ENTRIES:
                    break
    return "", 0


async def _rate(lines: Sequence[Line], file: Readable, *, bounds: Bounds, round_trip_seconds: float) -> Rate | None:
    seconds, warm_up = _times(bounds.seconds, round_trip_seconds=round_trip_seconds)
    under_way = 2 * round_trip_seconds * LINE_BYTES_PER_SECOND / len(lines) / REQUEST_BYTES
    requests = min(max(LEAST_REQUESTS, int(under_way)), MOST_REQUESTS)
    readers = [_Reader(line, file, start=number / len(lines)) for number, line in enumerate(lines)]
    begun = time.monotonic()
    for reader in readers:
        await reader.begin(requests)
    samples = [Sample(0, 0)]
    while samples[-1].seconds < seconds and samples[-1].bytes < bounds.most_bytes:
        if all(reader.is_over for reader in readers):
            break
        await asyncio.sleep(0.02)
        samples.append(Sample(time.monotonic() - begun, sum(reader.bytes for reader in readers)))
    for reader in readers:
        reader.is_over = True
    return steady(samples, warm_up=warm_up)


def _times(seconds: float, *, round_trip_seconds: float) -> tuple[float, float]:
    """Return how long is measured, and after how much of it what comes begins to count."""
    if round_trip_seconds >= FAR_SECONDS:
        return FAR_TIMES * seconds, seconds
    return seconds, warm_up_seconds(round_trip_seconds=round_trip_seconds, seconds=seconds)


class _Reader:
    """Reads one file over one connection, round and round, with so many requests under way."""

    def __init__(self, line: Line, file: Readable, *, start: float) -> None:
        self.bytes = 0
        self.is_over = False
        self._line = line
        self._file = file
        self._handle = b""
        # Nobody looks at what comes, so it may all go to one place.
        self._place = memoryview(bytearray(REQUEST_BYTES))
        self._whole = max(1, file.size_bytes // REQUEST_BYTES)
        self._numbers = count(int(start * self._whole))

    async def begin(self, requests: int) -> None:
        try:
            self._handle = await self._line.reads.open(self._file.path)
            for _ in range(requests):
                self._ask()
        except (asyncssh.Error, OSError):
            self.is_over = True

    def _ask(self) -> None:
        offset = next(self._numbers) % self._whole * REQUEST_BYTES
        self._line.reads.read(self._handle, offset=offset, into=self._place, done=self._done)

    def _done(self, result: int | Exception) -> None:
        if isinstance(result, Exception):
            self.is_over = True
            return
        self.bytes += result
        if not self.is_over:
            self._ask()
