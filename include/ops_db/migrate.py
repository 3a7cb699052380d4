"""Bring ops-db to a version of its schema, up or down."""

from pathlib import Path

from alembic import command
from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"


def configuration(url: str) -> Config:
    """Return Alembic's configuration for the database at `url`."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(url: str, *, revision: str = "head") -> None:
    """Apply migrations up to `revision`."""
    command.upgrade(configuration(url), revision)


def downgrade(url: str, *, revision: str) -> None:
    """Take migrations back down to `revision` (`base`: all of them)."""
    command.downgrade(configuration(url), revision)
