"""Put a file into an S3 bucket from wherever it lies: a folder, an SFTP server, another bucket. No disk in between.

Parts are whole blocks, several on their way at once, each over connections of its own. A block is compared with its
checksum while it passes, and the last bytes of a part leave only once its blocks were right: so a store never has a
part with a wrong byte, and what it has of an upload that was cut off need not be sent again. Which parts these are, the
store says (list_parts): nothing is kept here, and whoever goes on may do so from another host.

Safe to repeat, to kill, and to run twice at once. The whole object is for the caller to read back: no store that was
tried proves what it keeps. Uploads that nobody completes stay in the bucket until the key is put there after all; a
bucket needs a lifecycle rule that ends them after some weeks.

How many are on their way follows what the link gives (part_lines.py).

Memory: a few MB for each part under way, whatever its size.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from include.storage.interface import Storage
from include.storage.s3 import S3Storage
from include.storage.s3_upload import PART_BYTES
from include.transfer import part_lines
from include.transfer.blocks import Item
from include.transfer.part_lines import MOST_AT_ONCE, PartLines
from include.transfer.parts import Part, parts_of
from include.transfer.pulled import DamagedOriginError, Origin, Progress, Pulled
from include.transfer.rounds import Rounds
from include.transfer.terms import AS_USUAL, Terms
from include.transfer.upload import Upload
from include.transfer.verified_body import ReaderOf, partial_reader

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

CHECK_SECONDS = 1.0

HeldBackBy = Callable[[float], str | None]
"""Says what else than the link has set the rate since a moment (monotonic)."""


def put(
    item: Item,
    *,
    origin: Origin,
    archive: S3Storage,
    source_path: str | None = None,
    terms: Terms = AS_USUAL,
    smallest_part: int = PART_BYTES,
    reader_of: ReaderOf | None = None,
    held_back_by: HeldBackBy = lambda _: None,
) -> Pulled:
    """Put `item` under its path, read at the origin from `source_path` (its path, unless said otherwise).

    `reader_of` reads in another way than the storage itself, more slowly for example; it is used from several threads.
    The `check` of the terms is called, and may raise, after every part and once a second; parts under way are then
    given up. Their `pace` is not asked: that is `reader_of`'s to do.

    Raises:
        DamagedOriginError: the origin's bytes are not what they should be, or there is no such file.
        TransientError, NoSpaceError, PermanentError: from the origin or the store; what has arrived is kept.
    """
    parts = parts_of(item, smallest=smallest_part)
    path = source_path or item.path
    upload = Upload(item, origin, archive, path, reader_of=reader_of or partial_reader)
    if len(parts) <= 1:
        upload.put_whole()
        return Pulled(item.content.size_bytes, 0, finished=True)
    trip = max(_round_trip(archive, item.path), _round_trip(origin.storage, path))
    sending = _Sending(item, upload, parts, terms=terms, round_trip_seconds=trip, held_back_by=held_back_by)
    try:
        return sending.send_all()
    finally:
        upload.close()


class _Sending:
    """The parts of one upload on their way."""

    def __init__(
        self,
        item: Item,
        upload: Upload,
        parts: Sequence[Part],
        *,
        terms: Terms,
        round_trip_seconds: float,
        held_back_by: HeldBackBy,
    ) -> None:
        self._item = item
        self._upload = upload
        self._terms = terms
        self._held_back_by = held_back_by
        self._ends_at = time.monotonic() + terms.yield_after_seconds
        self._parts = parts
        self._done = upload.begin_or_go_on(parts)
        self._left = [part for part in parts if part.number not in self._done]
        self._skipped = sum(part.size_bytes for part in parts if part.number in self._done)
        self._sent = 0
        self._waiting: dict[Future[CompletedPartTypeDef], Part] = {}
        self._lines = PartLines(round_trip_seconds=round_trip_seconds)
        self._rounds = Rounds(
            self._lines,
            most_streams=min(terms.most_streams, MOST_AT_ONCE),
            tell=terms.on_decision,
            remembered_streams=terms.remembered_streams,
        )

    def send_all(self) -> Pulled:
        """Send what is left, as far as time allows, and make the object of it."""
        trip, remembered = self._lines.round_trip_seconds, self._terms.remembered_streams
        self._rounds.begin(part_lines.first(round_trip_seconds=trip, remembered=remembered))
        with ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="s3 part") as threads:
            try:
                while self._left or self._waiting:
                    self._begin(threads)
                    if not self._waiting:
                        return Pulled(self._sent, self._skipped, finished=False)
                    self._await_one()
                    self._terms.check()
            except BaseException as error:
                self._give_up(error)
                raise
        self._upload.complete([self._done[part.number] for part in self._parts])
        return Pulled(self._sent, self._skipped, finished=True)

    def _begin(self, threads: ThreadPoolExecutor) -> None:
        is_time_up = time.monotonic() > self._ends_at and self._sent > 0
        while self._left and len(self._waiting) < self._lines.wanted and not is_time_up:
            part = self._left.pop(0)
            self._waiting[threads.submit(self._upload.send, part)] = part
        now = time.monotonic()
        self._lines.have(len(self._waiting), now=now)
        self._rounds.look(
            now,
            bytes_received=self._upload.bytes_read,
            is_busy=bool(self._left) and not is_time_up,
            held_back_by=self._held_back_by(self._rounds.began_at),
        )

    def _await_one(self) -> None:
        ready, _ = wait(self._waiting, timeout=CHECK_SECONDS, return_when=FIRST_COMPLETED)
        for future in ready:
            part = self._waiting.pop(future)
            self._done[part.number] = future.result()
            self._sent += part.size_bytes
            self._terms.on_progress(Progress(self._item, self._sent, self._skipped, streams=len(self._waiting)))

    def _give_up(self, error: BaseException) -> None:
        self._upload.stop()
        for future in self._waiting:
            future.cancel()
        if isinstance(error, DamagedOriginError):
            wait(self._waiting)
            self._upload.abort()


def _round_trip(storage: Storage, path: str) -> float:
    """Return the seconds of the shorter of two requests: the first one connects."""
    began = time.monotonic()
    storage.stat(path)
    between = time.monotonic()
    storage.stat(path)
    return min(between - began, time.monotonic() - between)
