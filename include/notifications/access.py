"""What an Airflow connection says about a channel. Never logged, never stored in ops-db."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach a channel; which of these it needs depends on its type."""

    connection: str
    """Id of the Airflow connection, for messages to people."""
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    signing_key: str | None = field(default=None, repr=False)
