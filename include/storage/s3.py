"""Objects in an S3 bucket, below a prefix. An object appears as a whole or not at all."""

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import TYPE_CHECKING

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from include.errors import MissingFileError, PermanentError, TransientError
from include.storage.interface import CHUNK_BYTES, Chunk, FileStat, Space
from include.storage.paths import checked_folder, checked_path
from include.storage.s3_client import S3Address, error_code, s3_client, s3_errors
from include.storage.s3_upload import MOST_CONNECTIONS, PART_BYTES, Target, part_size, upload
from include.storage.sized import sized

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

# A store copies at most 5 GB in one request, and answers only at its end: in pieces none of them takes too long.
_COPY = TransferConfig(multipart_threshold=1024**3, multipart_chunksize=1024**3)


class S3Storage:
    """The objects below `address.prefix`. `part_bytes` (at least 5 MiB on most stores) grows with the object."""

    def __init__(self, address: S3Address, *, part_bytes: int = PART_BYTES) -> None:
        self.address = address
        self._part_bytes = part_bytes
        self._client = s3_client(address, connections=MOST_CONNECTIONS)
        self._streaming: S3Client | None = None

    def stat(self, path: str) -> FileStat | None:
        checked_path(path)
        with s3_errors(self.address, path):
            try:
                found = self._client.head_object(Bucket=self.address.bucket, Key=self._key(path))
            except ClientError as error:
                if error_code(error) not in ("404", "NoSuchKey"):
                    raise
                self._require_bucket()
                return None
            return FileStat(
                path=path, size_bytes=found["ContentLength"], modified_at=found["LastModified"].astimezone(UTC)
            )

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        checked_path(path)
        with s3_errors(self.address, path):
            answer = self._get(path, offset=offset, length=length)
            if answer is None:
                return
            left = answer["ContentLength"]
            if length is not None and left != length:
                raise TransientError(f"{self._place(path)} has only {offset + left} bytes, not {offset + length}")
            with answer["Body"] as body:
                while left:
                    chunk = body.read(min(left, CHUNK_BYTES))
                    if not chunk:
                        raise TransientError(f"{self._place(path)} ended {left} bytes too early")
                    left -= len(chunk)
                    yield chunk

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        checked_path(path)
        target = Target(client=self._client, address=self.address, path=path, key=self._key(path))
        part_bytes = part_size(size_bytes, smallest=self._part_bytes)
        upload(target, sized(chunks, size_bytes=size_bytes, what=self._place(path)), part_bytes=part_bytes)

    def streamed(self, path: str) -> Target:
        """Return an object to be, for whoever sends its parts as they are read (transfer/to_s3.py)."""
        checked_path(path)
        if self._streaming is None:
            self._streaming = s3_client(self.address, connections=MOST_CONNECTIONS, signs_content=False)
        return Target(client=self._streaming, address=self.address, path=path, key=self._key(path))

    def delete(self, path: str) -> bool:
        if self.stat(path) is None:
            return False
        with s3_errors(self.address, path):
            self._client.delete_object(Bucket=self.address.bucket, Key=self._key(path))
        return True

    def copy(self, path: str, to: str) -> bool:
        """Have the store copy an object under another name; False if it is not there. The bytes do not come here."""
        checked_path(to)
        if self.stat(path) is None:
            return False
        with s3_errors(self.address, path):
            self._client.copy(
                {"Bucket": self.address.bucket, "Key": self._key(path)},
                self.address.bucket,
                self._key(to),
                Config=_COPY,
            )
        return True

    def list(self, prefix: str = "") -> Iterator[FileStat]:
        folder = checked_folder(prefix)
        top = self._key(f"{folder}/" if folder else "")
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.address.bucket, Prefix=top)
        with s3_errors(self.address, prefix):
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield FileStat(
                        path=entry["Key"].removeprefix(self._key("")),
                        size_bytes=entry["Size"],
                        modified_at=entry["LastModified"].astimezone(UTC),
                    )

    def space(self) -> Space | None:
        """None: S3 has no word for it."""
        return None

    def close(self) -> None:
        self._client.close()
        if self._streaming is not None:
            self._streaming.close()

    def _key(self, path: str) -> str:
        return f"{self.address.prefix.strip('/')}/{path}" if self.address.prefix.strip("/") else path

    def _place(self, path: str) -> str:
        return f"{path!r} in {self.address.place}"

    def _require_bucket(self) -> None:
        """A missing bucket answers HEAD like a missing object: it must not pass for one."""
        with s3_errors(self.address, ""):
            try:
                self._client.head_bucket(Bucket=self.address.bucket)
            except ClientError as error:
                if error_code(error) in ("404", "NoSuchBucket"):
                    raise PermanentError(
                        f"{self.address.place} does not exist: create it, or correct the connection"
                    ) from error
                raise

    def _get(self, path: str, *, offset: int, length: int | None) -> "GetObjectOutputTypeDef | None":
        """None where no bytes of a file that is there are wanted: S3 has no empty ranges."""
        if length == 0:
            self._require_bytes(path, offset)
            return None
        if not offset and length is None:
            return self._client.get_object(Bucket=self.address.bucket, Key=self._key(path))
        span = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        try:
            answer = self._client.get_object(Bucket=self.address.bucket, Key=self._key(path), Range=span)
        except ClientError as error:
            if error_code(error) not in ("InvalidRange", "416"):
                raise
            self._require_bytes(path, offset + (length or 0))
            return None
        if not answer.get("ContentRange", "").startswith(f"bytes {offset}-"):
            raise PermanentError(f"{self.address.place} ignores byte ranges; this system needs a store that knows them")
        return answer

    def _require_bytes(self, path: str, end: int) -> None:
        found = self.stat(path)
        if found is None:
            raise MissingFileError(f"{self._place(path)} is not there")
        if found.size_bytes < end:
            raise TransientError(f"{self._place(path)} has only {found.size_bytes} bytes, not {end}")
