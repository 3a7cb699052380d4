"""One multipart upload of a file: what the store has of it, its parts, and whose fault it is when one fails."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, cast

from include.errors import DtsError, MissingFileError, TransientError
from include.storage.interface import Storage
from include.storage.s3 import S3Storage
from include.storage.s3_upload import Target
from include.storage.sftp import FEWEST_PIECES, SftpStorage
from include.transfer.blocks import Item, blocks_of
from include.transfer.parts import Part
from include.transfer.pulled import DamagedOriginError, Origin
from include.transfer.verified_body import DamagedBlockError, ReaderOf, VerifiedBody

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

logger = logging.getLogger(__name__)


class Upload:
    """One multipart upload. `send` is called in several threads."""

    def __init__(self, item: Item, origin: Origin, archive: S3Storage, path: str, *, reader_of: ReaderOf) -> None:
        self._item = item
        self._origin = origin
        self._archive = archive
        self._target: Target = archive.streamed(item.path)
        self._path = path
        self._reader_of = reader_of
        self._id = ""
        self._stopped = threading.Event()
        self._idle: SimpleQueue[Storage] = SimpleQueue()
        self._bytes_read = 0
        self._counting = threading.Lock()

    @property
    def bytes_read(self) -> int:
        """How much was handed out to be sent, of parts that are not complete, too."""
        return self._bytes_read

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
        body = VerifiedBody(
            part.blocks,
            self._reader_of(storage, self._path),
            name=self._place,
            stopped=self._stopped,
            on_read=self._count,
        )
        try:
            with self._errors_of(body):
                return self._target.send_stream(
                    cast("IO[bytes]", body), size_bytes=part.size_bytes, number=part.number, upload_id=self._id
                )
        finally:
            body.close()
            self._idle.put(storage)

    def _count(self, size_bytes: int) -> None:
        with self._counting:
            self._bytes_read += size_bytes

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
        body = VerifiedBody(blocks_of(self._item.content), reader, name=self._place, stopped=self._stopped)
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
            if isinstance(storage, SftpStorage):  # many read at once: each holds little
                return SftpStorage(storage.address, mark=storage.mark, most_pieces=FEWEST_PIECES)
            return storage

    @contextmanager
    def _errors_of(self, body: VerifiedBody) -> Iterator[None]:
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
