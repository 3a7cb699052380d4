"""A boto3 client for one bucket, and what its errors mean here.

Checksums that boto3 would add of its own are off: some stores refuse them, and none that were tried proves what it
stored (four servers accepted a wrong SHA-256). Integrity is ours: read back and compare.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from urllib3.exceptions import HTTPError

from include.errors import BadInputError, DtsError, MissingFileError, NoSpaceError, PermanentError, TransientError

if TYPE_CHECKING:
    from botocore.config import _S3Dict
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS = 10
READ_SECONDS = 120  # completing a multipart upload of 50 GB takes a store a while

_UNSIGNED: "_S3Dict" = {"payload_signing_enabled": False}

_making = Lock()
"""A client is safe for several threads, making one is not."""

_MISSING = {"NoSuchKey", "404", "NotFound"}
_REFUSED = {
    "AccessDenied",
    "403",
    "401",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AllAccessDisabled",
    "AccountProblem",
}
_FULL = {"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "507", "InsufficientStorage"}
_IMPOSSIBLE = {"KeyTooLongError", "InvalidURI", "InvalidArgument", "400", "MethodNotAllowed", "405"}


@dataclass(frozen=True, slots=True)
class S3Address:
    """`prefix` is a folder in the bucket, "" for the whole bucket."""

    endpoint_url: str
    bucket: str
    key: str
    secret: str = field(repr=False)
    prefix: str = ""

    @property
    def place(self) -> str:
        return f"bucket {self.bucket} at {self.endpoint_url}"


def s3_client(address: S3Address, *, connections: int, signs_content: bool = True) -> "S3Client":
    """Safe for use by several threads. Tries of its own are few: ops-db decides when to try again.

    `signs_content=False` for bytes that are sent as they are read, once: signing them would read them twice.
    """
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=connections,
        s3={"addressing_style": "path"} if signs_content else {"addressing_style": "path", **_UNSIGNED},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with _making:
        return _session().client(
            "s3",
            endpoint_url=address.endpoint_url,
            aws_access_key_id=address.key,
            aws_secret_access_key=address.secret,
            region_name="us-east-1",  # demanded by the signature, without meaning for other stores than Amazon's
            config=config,
        )


@cache
def _session() -> boto3.session.Session:
    """One for all clients: to read what boto3 knows of Amazon takes 60 ms of processor, a client from it 4."""
    return boto3.session.Session()


@contextmanager
def s3_errors(address: S3Address, path: str) -> Iterator[None]:
    """Turns what boto3 raises about `path` into the errors of errors.py."""
    try:
        yield
    except ParamValidationError as error:
        raise BadInputError(f"{path!r} cannot be a key in {address.place}: {error}") from error
    except ClientError as error:
        raise _translated(error, address, path) from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise TransientError(f"{path!r} in {address.place}: {error}") from error


def error_code(error: ClientError) -> str:
    """S3's name for what went wrong, or the HTTP status where the answer had no body (HEAD)."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _translated(error: ClientError, address: S3Address, path: str) -> DtsError:
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket":
        return PermanentError(f"{address.place} does not exist: create it, or correct the connection")
    if code in _MISSING:
        return MissingFileError(f"{path!r} is not in {address.place}")
    if code in _FULL:
        return NoSpaceError(f"no space left for {path!r} in {address.place}: {error}")
    if code == "RequestTimeTooSkewed":
        return PermanentError(f"{address.place} refuses this host's clock: set it right")
    if code in _REFUSED or status in (401, 403):
        return PermanentError(f"{address.place} refuses {path!r}: {code}; check key, secret and the bucket's policy")
    if code in _IMPOSSIBLE:
        return PermanentError(f"{address.place} cannot do this with {path!r}: {error}")
    return TransientError(f"{path!r} in {address.place}: {error}")
