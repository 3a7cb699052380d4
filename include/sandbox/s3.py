"""An S3 store: `rclone serve s3` on a folder, whose subfolders are the buckets.

    with S3.running(folder, bucket="archive") as store:
        client = boto3.client("s3", endpoint_url=store.endpoint,
                              aws_access_key_id=store.key, aws_secret_access_key=store.secret, region_name="us-east-1")

It checks keys and Content-MD5 and does multipart; versioning, object locks and If-None-Match it lacks.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from include.sandbox.accounts import Account, private_folder
from include.sandbox.ports import LOOPBACK, answers
from include.sandbox.programs import Programs
from include.sandbox.server import Server


class S3(Server):
    """One store with one key. Objects lie as files under `folder`/store/`bucket`."""

    def __init__(
        self,
        *,
        folder: Path,
        bucket: str,
        port: int | None = None,
        setting: str | None = None,
        programs: Programs | None = None,
        account: Account | None = None,
    ) -> None:
        super().__init__(f"S3 store {bucket}", folder=folder, port=port, setting=setting, account=account)
        self.bucket = bucket
        self.key = secrets.token_hex(10)
        self.secret = secrets.token_hex(20)
        self._program = (programs or Programs.of_this_environment()).named("rclone")

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *, bucket: str = "archive", port: int | None = None) -> Iterator[Self]:
        """Have a store with one empty bucket for the length of a with block.

        Raises:
            SandboxError: the port is taken, or the server did not start.
        """
        with cls(folder=folder, bucket=bucket, port=port) as store:
            store.start()
            yield store

    @property
    def endpoint(self) -> str:
        """URL of the store."""
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start it and return once it answers."""
        store = private_folder(self.folder, account=self.account) / "store"
        private_folder(store, account=self.account)
        private_folder(store / self.bucket, account=self.account)
        self._begin(
            *(self._program, "serve", "s3", "--config", "", "--addr", f"{LOOPBACK}:{self.port}", store),
            log="s3.log",
            ready=lambda: answers(self.port),
            # The secret stands in the environment and not on the command line, which everybody on the machine can read.
            environment={"RCLONE_AUTH_KEY": f'"{self.key},{self.secret}"', "HOME": str(self.folder)},
        )
