"""The template: a PostgreSQL data folder in which Airflow's tables are made already.

`airflow db migrate` takes 12 s; copying the folder takes one. The template is made anew when the lock file, the
packages or the interpreter change.
"""

import secrets
import shutil
import subprocess
from pathlib import Path

from include.errors import SandboxError
from include.sandbox.accounts import Account, own, private_file
from include.sandbox.house import House
from include.sandbox.postgres import SUPERUSER, Postgres
from include.sandbox.process import base_environment

AIRFLOW_ROLE = "airflow"
AIRFLOW_DATABASE = "airflow"
OPS_DB_ROLE = "dts"
OPS_DB_DATABASE = "ops_db"


class Template:
    """The template of one environment; `folder` holds it."""

    def __init__(self, folder: Path, *, house: House, account: Account | None) -> None:
        self.folder = folder
        self._house = house
        self._account = account

    @property
    def _password_file(self) -> Path:
        return self.folder / "superuser"

    def is_made(self) -> bool:
        """Tell whether there is one."""
        return self.folder.is_dir()

    def make(self) -> None:
        """Make it, in place of any earlier one."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        self.folder.parent.mkdir(parents=True)
        self.folder.parent.chmod(0o711)
        building = self.folder.with_suffix(".building")
        server = Postgres(folder=building, programs=self._house.programs, account=self._account)
        server.initialise()
        server.start()
        try:
            for role, database in ((AIRFLOW_ROLE, AIRFLOW_DATABASE), (OPS_DB_ROLE, OPS_DB_DATABASE)):
                server.set_password(role, server.password)
                server.create_database(database, owner=role)
            self._migrate(server)
        finally:
            server.stop()
        private_file(building / self._password_file.name, server.password)
        building.replace(self.folder)

    def copy_to(self, server: Postgres) -> str:
        """Give `server`, not yet started, a copy as its data folder; return the superuser's password in it."""
        # cp, because it knows reflinks and keeps owners
        subprocess.run(["cp", "-a", "--reflink=auto", self.folder / "data", server.data], check=True)
        own(server.folder, account=self._account)
        return self._password_file.read_text()

    def _migrate(self, server: Postgres) -> None:
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        environment = {
            **base_environment(),
            **self._house.programs.environment_variables,
            "AIRFLOW_HOME": str(home),
            "HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata_url(server, password=server.password),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        # By whoever runs the sandbox, so that the bytecode of what it imports is kept even where that is root.
        run = subprocess.run(
            [self._house.programs.python, "-m", "airflow", "db", "migrate"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment,
        )
        shutil.rmtree(home)
        if run.returncode:
            raise SandboxError(f"`airflow db migrate` failed:\n{(run.stdout + run.stderr)[-3000:]}")


def metadata_url(server: Postgres, *, password: str) -> str:
    """Return the URL of Airflow's own database, with the driver that Airflow uses."""
    url = server.url(AIRFLOW_DATABASE, user=AIRFLOW_ROLE, password=password)
    return url.replace("postgresql+psycopg:", "postgresql+psycopg2:")


def renew_passwords(server: Postgres) -> dict[str, str]:
    """Give the roles of a copied template passwords of this run, and return them by role."""
    passwords = {role: secrets.token_urlsafe(24) for role in (AIRFLOW_ROLE, OPS_DB_ROLE, SUPERUSER)}
    for role, password in passwords.items():
        server.set_password(role, password)
    return passwords
