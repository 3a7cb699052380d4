"""Measure an archive with a temporary object, put as archiving puts packages, read back, and removed."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import uuid4

from include.doctor.clock import Offset
from include.doctor.rates import Rate
from include.errors import DtsError
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address, s3_client, s3_errors

FOLDER = "dts-doctor"
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class S3Speed:
    """`left_behind` is the key of the object that could not be removed, with the reason; empty if it was."""

    put: Rate
    get: Rate
    left_behind: str = ""


def s3_speed(address: S3Address, *, seconds: float, most_bytes: int) -> S3Speed:
    """Put for so long, then get for so long at most.

    Raises:
        DtsError: the store is not there, or refuses us.
    """
    path = f"{FOLDER}/{uuid4().hex}"
    with closing(S3Storage(address)) as storage:
        left = ""
        begun = time.monotonic()
        try:
            storage.write(path, _random(until=begun + seconds, most_bytes=most_bytes))
            put = _rate(begun, moved=_size(storage, path))
            got, begun = 0, time.monotonic()
            for chunk in storage.read(path):
                got += len(chunk)
                if time.monotonic() - begun > seconds:
                    break
            get = _rate(begun, moved=got)
        finally:
            try:
                storage.delete(path)
            except DtsError as error:
                left = f"{path}: {error}"
        return S3Speed(put, get, left)


def s3_clock(address: S3Address) -> Offset:
    """Compare this host's clock with the store's, whose answers carry the time to the second.

    Raises:
        DtsError: the store is not there, or refuses us.
    """
    client = s3_client(address, connections=1)
    with closing(client), s3_errors(address, ""):
        client.head_bucket(Bucket=address.bucket)  # the second request meets an open connection
        before = datetime.now(UTC)
        answer = client.head_bucket(Bucket=address.bucket)
        took = (datetime.now(UTC) - before).total_seconds()
    there = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    offset = (there - before).total_seconds() + 0.5 - took / 2
    return Offset(seconds=offset, uncertain_seconds=0.5 + took / 2)


def _random(*, until: float, most_bytes: int) -> Iterator[bytes]:
    some = os.urandom(CHUNK_BYTES)
    sent = 0
    while sent == 0 or (sent < most_bytes and time.monotonic() < until):
        yield some
        sent += len(some)


def _size(storage: S3Storage, path: str) -> int:
    found = storage.stat(path)
    return found.size_bytes if found else 0


def _rate(begun: float, *, moved: int) -> Rate:
    took = max(time.monotonic() - begun, 1e-9)
    return Rate(moved / took, took, moved)
