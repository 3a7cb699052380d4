"""Write one object: small ones in one request, others as a multipart upload with several parts on their way at once.

Memory: PARALLEL_PARTS + 1 parts, whatever the size.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import IO, TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from include.errors import TransientError
from include.storage.interface import Chunk
from include.storage.s3_client import S3Address, error_code, s3_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 16 * 1024 * 1024
PARALLEL_PARTS = 4
MOST_PARTS = 10_000  # what S3 allows
MOST_CONNECTIONS = 34
_ROUND_BYTES = 1024 * 1024


def part_size(size_bytes: int | None, *, smallest: int = PART_BYTES) -> int:
    """Bytes of a part, so that the object needs no more parts than S3 allows. Unknown sizes: up to 160 GB."""
    if size_bytes is None or size_bytes <= smallest * MOST_PARTS:
        return smallest
    needed = -(-size_bytes // MOST_PARTS)
    return -(-needed // _ROUND_BYTES) * _ROUND_BYTES


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part that a store has, of an upload that is not complete."""

    number: int
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Target:
    """The object to be. Every method is one request, its errors translated."""

    client: "S3Client"
    address: S3Address
    path: str
    key: str

    def put(self, content: bytearray) -> None:
        with s3_errors(self.address, self.path):
            self.client.put_object(Bucket=self.address.bucket, Key=self.key, Body=_body(content))

    def begin(self) -> str:
        """The new multipart upload's id."""
        with s3_errors(self.address, self.path):
            return self.client.create_multipart_upload(Bucket=self.address.bucket, Key=self.key)["UploadId"]

    def send(self, part: bytearray, *, number: int, upload_id: str) -> "CompletedPartTypeDef":
        with s3_errors(self.address, self.path):
            answer = self.client.upload_part(
                Bucket=self.address.bucket, Key=self.key, UploadId=upload_id, PartNumber=number, Body=_body(part)
            )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def send_stream(self, body: "IO[bytes]", *, size_bytes: int, number: int, upload_id: str) -> "CompletedPartTypeDef":
        """A part of exactly this size. What reading `body` raises comes out as a TransientError."""
        with s3_errors(self.address, self.path):
            answer = self.client.upload_part(
                Bucket=self.address.bucket,
                Key=self.key,
                UploadId=upload_id,
                PartNumber=number,
                ContentLength=size_bytes,
                Body=body,
            )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def uploads(self) -> list[str]:
        """Ids of multipart uploads of this key that were begun and never completed, the newest first."""
        found = []
        try:
            with s3_errors(self.address, self.path):
                pages = self.client.get_paginator("list_multipart_uploads")
                for page in pages.paginate(Bucket=self.address.bucket, Prefix=self.key):
                    found += [upload for upload in page.get("Uploads", ()) if upload["Key"] == self.key]
        except TransientError as error:
            if isinstance(error.__cause__, ClientError) and error_code(error.__cause__) == "NoSuchUpload":
                return []  # rclone's word for a bucket that never saw one
            raise
        return [upload["UploadId"] for upload in sorted(found, key=lambda one: one["Initiated"], reverse=True)]

    def parts(self, upload_id: str) -> list[SentPart]:
        """What the store has of an upload."""
        with s3_errors(self.address, self.path):
            pages = self.client.get_paginator("list_parts").paginate(
                Bucket=self.address.bucket, Key=self.key, UploadId=upload_id
            )
            return [
                SentPart(part["PartNumber"], part["Size"], part["ETag"])
                for page in pages
                for part in page.get("Parts", ())
            ]

    def complete(self, parts: "list[CompletedPartTypeDef]", *, upload_id: str) -> None:
        with s3_errors(self.address, self.path):
            self.client.complete_multipart_upload(
                Bucket=self.address.bucket, Key=self.key, UploadId=upload_id, MultipartUpload={"Parts": parts}
            )

    def abort(self, *, upload_id: str) -> None:
        with s3_errors(self.address, self.path):
            self.client.abort_multipart_upload(Bucket=self.address.bucket, Key=self.key, UploadId=upload_id)


def upload(target: Target, chunks: Iterable[Chunk], *, part_bytes: int) -> None:
    """Whatever `chunks` or the store raises goes through, and leaves neither object nor parts."""
    parts = _parts(chunks, part_bytes)
    first = next(parts)
    if len(first) < part_bytes:
        target.put(first)
        return
    upload_id = target.begin()
    # Leaving the pool waits for the parts under way: one that arrived after the abort would stay, and be paid for.
    try:
        with ThreadPoolExecutor(PARALLEL_PARTS, thread_name_prefix="s3 part") as threads:
            sent = _sent(target, upload_id, chain((first,), parts), threads)
        target.complete(sent, upload_id=upload_id)
    except BaseException:
        with suppress(Exception):  # the first error is the one that counts
            target.abort(upload_id=upload_id)
        raise


def _sent(
    target: Target, upload_id: str, parts: Iterable[bytearray], threads: ThreadPoolExecutor
) -> "list[CompletedPartTypeDef]":
    under_way: deque[Future[CompletedPartTypeDef]] = deque()
    sent: list[CompletedPartTypeDef] = []
    try:
        for number, part in enumerate(parts, start=1):
            if len(under_way) >= PARALLEL_PARTS:
                sent.append(under_way.popleft().result())
            if part:
                under_way.append(threads.submit(target.send, part, number=number, upload_id=upload_id))
        sent += [future.result() for future in under_way]
    finally:
        for future in under_way:
            future.cancel()
    return sent


def _body(part: bytearray) -> bytes:
    """The part itself: boto3 takes a bytearray, its stubs do not know. A copy would cost 16 MiB of memory a part."""
    return cast(bytes, part)


def _parts(chunks: Iterable[Chunk], part_bytes: int) -> Iterator[bytearray]:
    """Parts of exactly `part_bytes`, then one smaller, perhaps empty one."""
    part = bytearray()
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            room = part_bytes - len(part)
            part += view[:room]
            view = view[room:]
            if len(part) == part_bytes:
                yield part
                part = bytearray()
    yield part
