"""What the environment says. Everything else is data in the topology file or in ops-db."""

from functools import cache
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from include.errors import BadInputError


class Settings(BaseSettings):
    """Read from variables with the prefix ``DTS_``."""

    model_config = SettingsConfigDict(env_prefix="DTS_", frozen=True)

    ops_db_url: str | None = None
    """SQLAlchemy URL of ops-db, for plain processes (`dts`, the sandbox). Tasks use the connection `ops_db`."""
    topology: Path = Path(__file__).parent / "topologies" / "ccat.yaml"
    """The topology file."""
    host: str | None = None
    """Name of this worker host in the topology; unset on a machine that runs no worker."""

    def required_ops_db_url(self) -> str:
        """Return the URL of ops-db.

        Raises:
            BadInputError: the variable is not set.
        """
        if self.ops_db_url is None:
            raise BadInputError(
                "No operations database is named: set DTS_OPS_DB_URL=postgresql+psycopg://user:password@host:port/ops_db"
                " (in a running sandbox, `ops_db_url` in .sandbox/state.json)."
            )
        return self.ops_db_url


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return Settings()
