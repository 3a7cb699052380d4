"""The SFTP server process for machines without OpenSSH: `python -m include.sandbox.sftp_server --port ...`."""

import asyncio
from pathlib import Path
from typing import Annotated

import asyncssh
import typer


def main(
    *,
    host: Annotated[str, typer.Option()],
    port: Annotated[int, typer.Option()],
    host_key: Annotated[Path, typer.Option()],
    authorized_keys: Annotated[Path, typer.Option()],
) -> None:
    """Serve the files of the account that this runs as, to whoever holds one of the keys, until it is ended."""
    asyncio.run(_serve(host=host, port=port, host_key=host_key, authorized_keys=authorized_keys))


async def _serve(*, host: str, port: int, host_key: Path, authorized_keys: Path) -> None:
    server = await asyncssh.listen(
        host,
        port,
        server_host_keys=[str(host_key)],
        authorized_client_keys=str(authorized_keys),
        password_auth=False,
        kbdint_auth=False,
        sftp_factory=True,
        allow_scp=False,
    )
    await server.wait_closed()


if __name__ == "__main__":
    typer.run(main)
