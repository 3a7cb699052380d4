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

from include.errors import SandboxError
from include.sandbox.accounts import Account, private_folder
from include.sandbox.ports import LOOPBACK, answers, port_to_use
from include.sandbox.process import Command, Daemon
from include.sandbox.programs import Programs


class S3:
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
        self.folder = folder
        self.bucket = bucket
        self.port = port_to_use(port, server=f"the S3 store of {bucket}", setting=setting)
        self.key = secrets.token_hex(10)
        self.secret = secrets.token_hex(20)
        self._program = (programs or Programs.of_this_environment()).named("rclone")
        self._account = account
        self._daemon: Daemon | None = None

    @classmethod
    @contextmanager
    def running(cls, folder: Path, *, bucket: str = "archive", port: int | None = None) -> Iterator[Self]:
        """Have a store with one empty bucket for the length of a with block.

        Raises:
            SandboxError: the port is taken, or the server did not start.
        """
        store = cls(folder=folder, bucket=bucket, port=port)
        store.start()
        try:
            yield store
        finally:
            store.stop()

    @property
    def endpoint(self) -> str:
        """URL of the store."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def daemon(self) -> Daemon:
        """The running server's process."""
        if self._daemon is None:
            raise SandboxError(f"The S3 store of {self.bucket} has not been started.")
        return self._daemon

    def start(self) -> None:
        """Start it and return once it answers."""
        store = private_folder(self.folder, account=self._account) / "store"
        private_folder(store, account=self._account)
        private_folder(store / self.bucket, account=self._account)
        command = Command(
            name=f"S3 store {self.bucket}",
            arguments=(
                self._program,
                "serve",
                "s3",
                "--config",
                "",
                "--addr",
                f"{LOOPBACK}:{self.port}",
                store,
            ),
            log=self.folder / "s3.log",
            # The secret stands in the environment and not on the command line, which everybody on the machine can read.
            environment={
                "RCLONE_AUTH_KEY": f'"{self.key},{self.secret}"',
                "HOME": str(self.folder),
            },
            account=self._account,
        )
        self._daemon = Daemon.start(command, ready=lambda: answers(self.port))

    def stop(self) -> None:
        """Stop it; its objects stay."""
        if self._daemon is not None:
            self._daemon.stop()
