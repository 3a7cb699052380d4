"""SSH key pairs (ed25519), made afresh for every sandbox."""

from dataclasses import dataclass
from pathlib import Path

import asyncssh

from include.sandbox.accounts import Account, private_file


@dataclass(frozen=True)
class KeyPair:
    """A private key in a file and its public half."""

    private: Path
    public: str
    """`ssh-ed25519 AAAA...`, as authorized_keys, known_hosts and Airflow's `host_key` want it."""

    @classmethod
    def made(cls, private: Path, *, account: Account | None = None) -> "KeyPair":
        """Make a pair; only `account` may read the private half."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        private_file(private, key.export_private_key().decode(), account=account)
        return cls(private=private, public=key.export_public_key().decode().strip())
