"""Connecting to ops-db: one kept connection a process, and no wait without an end."""

from functools import cache

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import QueuePool

# A vanished peer is noticed within two minutes; libpq's own defaults wait for hours.
CLIENT_OPTIONS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60000,
    "options": "-c timezone=UTC -c statement_timeout=30s -c lock_timeout=10s"
    " -c idle_in_transaction_session_timeout=60s",
}


@cache
def ops_db_engine(url: str, *, kept: int = 1) -> Engine:
    """Return this process's engine for `url` (postgresql+psycopg://…), which keeps so many connections open."""
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        poolclass=QueuePool,
        pool_size=kept,
        max_overflow=4,
        pool_pre_ping=False,
        pool_recycle=1800,
        connect_args=CLIENT_OPTIONS,
    )
