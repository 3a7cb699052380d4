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

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from include.storage.s3 import S3Storage
from include.storage.s3_upload import PART_BYTES
from include.storage.sftp import SftpStorage
from include.transfer.blocks import Item
from include.transfer.parts import Part, parts_of
from include.transfer.pulled import YIELD_SECONDS, DamagedOriginError, Origin, Progress, Pulled, nothing
from include.transfer.upload import Upload
from include.transfer.verified_body import ReaderOf, partial_reader

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

NEAR_SECONDS = 0.03
NEAR_PARTS = 4
FAR_PARTS = 16
"""At a round trip of 250 ms 16 connections carried 68 MB/s, 4 of them a quarter."""
CHECK_SECONDS = 1.0


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
    reader_of: ReaderOf | None = None,
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
    upload = Upload(item, origin, archive, path, reader_of=reader_of or partial_reader)
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
