"""Put a file into an S3 bucket from wherever it lies: a folder, an SFTP server, another bucket. No disk in between.

Parts are whole blocks, several on their way at once, each over connections of its own. A block is compared with its
checksum while it passes, and the last bytes of a part leave only once its blocks were right: so a store never has a
part with a wrong byte, and what it has of an upload that was cut off need not be sent again. Which parts these are, the
store says (list_parts): nothing is kept here, and whoever goes on may do so from another host.

Safe to repeat, to kill, and to run twice at once. The whole object is for the caller to read back: no store that was
tried proves what it keeps. Uploads that nobody completes stay in the bucket until the key is put there after all; a
bucket needs a lifecycle rule that ends them after some weeks.

Memory: a few MB for each part under way, whatever its size.
"""

import io
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, cast

from include.errors import DtsError, MissingFileError, TransientError
from include.integrity.checksum import Hasher
from include.storage.interface import Chunk, Storage
from include.storage.s3 import S3Storage
from include.storage.s3_upload import MOST_PARTS, PART_BYTES, Target
from include.storage.sftp import SftpStorage
from include.transfer.blocks import Block, Item, blocks_of
from include.transfer.pulled import YIELD_SECONDS, DamagedOriginError, Origin, Progress, Pulled, nothing

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

logger = logging.getLogger(__name__)

NEAR_SECONDS = 0.03
NEAR_PARTS = 4
FAR_PARTS = 16
"""At a round trip of 250 ms 16 connections carried 68 MB/s, 4 of them a quarter."""
CHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring blocks that go in one request."""

    number: int
    blocks: tuple[Block, ...]

    @property
    def offset(self) -> int:
        """Of its first byte."""
        return self.blocks[0].offset

    @property
    def size_bytes(self) -> int:
        """Of all its blocks."""
        return self.blocks[-1].end - self.offset


def parts_of(item: Item, *, smallest: int = PART_BYTES) -> list[Part]:
    """Cut into parts of whole blocks: at least `smallest` bytes each but the last, and no more than S3 allows."""
    blocks = blocks_of(item.content)
    together = max(-(-smallest // item.content.block_bytes), -(-len(blocks) // MOST_PARTS), 1)
    return [
        Part(number, blocks[first : first + together])
        for number, first in enumerate(range(0, len(blocks), together), start=1)
    ]


def put(
    item: Item,
    *,
    origin: Origin,
    archive: S3Storage,
    source_path: str | None = None,
    check: Callable[[], None] = nothing,
    on_progress: Callable[[Progress], None] = nothing,
    yield_after_seconds: float = YIELD_SECONDS,
    smallest_part: int = PART_BYTES,
    reader_of: "ReaderOf | None" = None,
) -> Pulled:
    """Put `item` under its path, read at the origin from `source_path` (its path, unless said otherwise).

    `reader_of` reads in another way than the storage itself, more slowly for example; it is used from several threads.

    `check` is called, and may raise, after every part and once a second; parts under way are then given up.

    Raises:
        DamagedOriginError: the origin's bytes are not what they should be, or there is no such file.
        TransientError, NoSpaceError, PermanentError: from the origin or the store; what has arrived is kept.
    """
    began = time.monotonic()
    parts = parts_of(item, smallest=smallest_part)
    path = source_path or item.path
    upload = _Upload(item, origin, archive, path, reader_of=reader_of or partial_reader)
    if len(parts) <= 1:
        upload.put_whole()
        return Pulled(item.content.size_bytes, 0, finished=True)
    under_way = FAR_PARTS if _is_far(archive, item.path) or isinstance(origin.storage, SftpStorage) else NEAR_PARTS
    done = upload.begin_or_go_on(parts)
    skipped = sent = sum(part.size_bytes for part in parts if part.number in done)
    sent -= skipped
    left = [part for part in parts if part.number not in done]
    try:
        with ThreadPoolExecutor(under_way, thread_name_prefix="s3 part") as threads:
            waiting: dict[Future[CompletedPartTypeDef], Part] = {}
            try:
                while left or waiting:
                    is_time_up = time.monotonic() - began > yield_after_seconds and sent > 0
                    while left and len(waiting) < under_way and not is_time_up:
                        part = left.pop(0)
                        waiting[threads.submit(upload.send, part)] = part
                    if not waiting:
                        return Pulled(sent, skipped, finished=False)
                    ready, _ = wait(waiting, timeout=CHECK_SECONDS, return_when=FIRST_COMPLETED)
                    for future in ready:
                        part = waiting.pop(future)
                        done[part.number] = future.result()
                        sent += part.size_bytes
                        on_progress(Progress(item, sent, skipped, streams=len(waiting)))
                    check()
            except BaseException as error:
                upload.stop()
                for future in waiting:
                    future.cancel()
                if isinstance(error, DamagedOriginError):
                    wait(waiting)
                    upload.abort()
                raise
    finally:
        upload.close()
    upload.complete([done[part.number] for part in parts])
    return Pulled(sent, skipped, finished=True)


def _is_far(archive: S3Storage, path: str) -> bool:
    began = time.monotonic()
    archive.stat(path)
    between = time.monotonic()
    archive.stat(path)  # the first one connects
    return min(between - began, time.monotonic() - between) > NEAR_SECONDS


class _Upload:
    """One multipart upload. `send` is called in several threads."""

    def __init__(self, item: Item, origin: Origin, archive: S3Storage, path: str, *, reader_of: "ReaderOf") -> None:
        self._item = item
        self._origin = origin
        self._archive = archive
        self._target: Target = archive.streamed(item.path)
        self._path = path
        self._reader_of = reader_of
        self._id = ""
        self._stopped = threading.Event()
        self._idle: SimpleQueue[Storage] = SimpleQueue()

    def begin_or_go_on(self, parts: Sequence[Part]) -> "dict[int, CompletedPartTypeDef]":
        """Return what the store has already, by number. A part of another size is sent again."""
        sizes = {part.number: part.size_bytes for part in parts}
        with self._store_errors():
            uploads = self._target.uploads()
            if not uploads:
                self._id = self._target.begin()
                return {}
            self._id = uploads[0]
            found = [part for part in self._target.parts(self._id) if sizes.get(part.number) == part.size_bytes]
        logger.info("%d of %d parts of %s are there already.", len(found), len(parts), self._item.path)
        return {part.number: {"PartNumber": part.number, "ETag": part.etag} for part in found}

    def send(self, part: Part) -> "CompletedPartTypeDef":
        """Send one part; a block that comes wrong is read once more before that is believed."""
        try:
            return self._send(part)
        except DamagedBlockError as error:
            logger.warning("%s; it is read again.", error)
        try:
            return self._send(part)
        except DamagedBlockError as error:
            raise self._told(error) from error

    def _send(self, part: Part) -> "CompletedPartTypeDef":
        storage = self._storage()
        body = _Body(part.blocks, self._reader_of(storage, self._path), name=self._place, stopped=self._stopped)
        try:
            with self._errors_of(body):
                return self._target.send_stream(
                    cast("IO[bytes]", body), size_bytes=part.size_bytes, number=part.number, upload_id=self._id
                )
        finally:
            body.close()
            self._idle.put(storage)

    def put_whole(self) -> None:
        """A file of one part, or empty."""
        try:
            return self._write()
        except DamagedBlockError as error:
            logger.warning("%s; it is read again.", error)
        try:
            self._write()
        except DamagedBlockError as error:
            raise self._told(error) from error

    def _write(self) -> None:
        reader = self._reader_of(self._origin.storage, self._path)
        body = _Body(blocks_of(self._item.content), reader, name=self._place, stopped=self._stopped)
        with self._errors_of(body):
            self._archive.write(self._item.path, body.chunks(), size_bytes=self._item.content.size_bytes)

    def complete(self, sent: "list[CompletedPartTypeDef]") -> None:
        """Make the object of its parts, and end what others left of the same key."""
        with self._store_errors():
            self._target.complete(sent, upload_id=self._id)
            for left in self._target.uploads():
                self._target.abort(upload_id=left)

    def abort(self) -> None:
        """Nothing stays of it."""
        try:
            self._target.abort(upload_id=self._id)
        except DtsError as error:
            logger.warning("What was sent of %s stays for now: %s", self._item.path, error)

    def stop(self) -> None:
        """Parts under way end soon, without becoming parts."""
        self._stopped.set()

    def close(self) -> None:
        """Give back what was opened for the threads, once they have ended."""
        while True:
            try:
                storage = self._idle.get_nowait()
            except Empty:
                return
            if storage is not self._origin.storage:
                storage.close()

    @property
    def _place(self) -> str:
        return f"{self._path} in {self._origin.name}"

    def _storage(self) -> Storage:
        """Another one for each thread, where one cannot be shared."""
        try:
            return self._idle.get_nowait()
        except Empty:
            storage = self._origin.storage
            return SftpStorage(storage.address, mark=storage.mark) if isinstance(storage, SftpStorage) else storage

    @contextmanager
    def _errors_of(self, body: "_Body") -> Iterator[None]:
        """Tell what reading ended with from what the store says."""
        try:
            with self._store_errors():
                yield
        except DtsError as error:
            match body.error:
                case None:
                    raise
                case DamagedBlockError():
                    raise body.error from error
                case _:
                    raise self._told(body.error) from error

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """A store that does not find what is written to lacks the bucket or the upload: it is not about the origin.

        Raises:
            PermanentError: there is no such bucket.
            TransientError: somebody ended the upload; the next try begins another one.
        """
        try:
            yield
        except MissingFileError as error:
            self._archive.stat(self._item.path)
            raise TransientError(
                f"{self._archive.address.place} no longer knows the upload of {self._item.path}; it is begun again"
            ) from error

    def _told(self, error: DtsError) -> DtsError:
        """What is wrong with the origin's copy is its damage; everything else is as it was."""
        if isinstance(error, DamagedBlockError):
            return DamagedOriginError(str(error), items=(self._item,))
        if isinstance(error, MissingFileError):
            if self._origin.storage.stat(self._path) is not None:
                return TransientError(f"{self._place} was not there a moment ago, and is now")
            return DamagedOriginError(str(error), items=(self._item,), missing=(self._item,))
        if isinstance(error, TransientError):
            found = self._origin.storage.stat(self._path)
            if found is not None and found.size_bytes < self._item.content.size_bytes:
                size = self._item.content.size_bytes
                return DamagedOriginError(
                    f"{self._place} has {found.size_bytes} bytes instead of {size}", items=(self._item,)
                )
        return error


class DamagedBlockError(TransientError):
    """A block is not what it should be; it is read again before that is believed."""


Reader = Callable[[int, int], Iterator[Chunk]]
ReaderOf = Callable[[Storage, str], Reader]


def partial_reader(storage: Storage, path: str) -> Reader:
    """Return what reads a range of a file: offset and length in bytes."""
    return lambda offset, length: storage.read(path, offset=offset, length=length)


class _Body(io.RawIOBase):
    """Blocks as a file to be sent, each compared with its checksum before its last byte is handed out.

    botocore begins again (`seek`) if a request failed. `error` is what reading ended with.
    """

    def __init__(self, blocks: Sequence[Block], reader: Reader, *, name: str, stopped: threading.Event) -> None:
        self.error: DtsError | None = None
        self._blocks = blocks
        self._reader = reader
        self._name = name
        self._stopped = stopped
        self._size = blocks[-1].end - blocks[0].offset if blocks else 0
        self._position = 0
        self._chunks = self.chunks()
        self._rest = memoryview(b"")

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence] + offset
        if self._position == 0:
            self._chunks.close()
            self._chunks, self._rest, self.error = self.chunks(), memoryview(b""), None
        return self._position

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        piece = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(piece) :]
        self._position += len(piece)
        return bytes(piece)

    def chunks(self) -> Generator[Chunk, None, None]:
        """Read and verify."""
        try:
            yield from self._verified()
        except DtsError as error:
            self.error = error
            raise

    def _verified(self) -> Generator[Chunk, None, None]:
        if not self._blocks:
            return
        chunks = iter(self._reader(self._blocks[0].offset, self._size))
        rest = memoryview(b"")
        for block in self._blocks:
            hasher, left = Hasher(), block.length
            while left:
                if self._stopped.is_set():
                    raise TransientError(f"sending {self._name} was stopped")
                rest = rest or memoryview(next(chunks, b""))
                if not rest:
                    raise TransientError(f"{self._name} ended before byte {block.end}")
                piece, rest = rest[:left], rest[left:]
                hasher.update(piece)
                left -= len(piece)
                if not left and hasher.value() != block.checksum:
                    raise DamagedBlockError(
                        f"{self._name}: block {block.number} (bytes {block.offset} to {block.end}) has checksum"
                        f" {hasher.value()} instead of {block.checksum}"
                    )
                yield piece
