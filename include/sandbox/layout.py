"""Where things lie: `.sandbox/` in the clone, the house that other accounts reach, run data in one of the two."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from include.sandbox.accounts import running_as_root

CLONE = Path(__file__).resolve().parents[2]
HOUSES = Path("/var/lib/dts-sandbox")
"""Houses of all clones from which root runs a sandbox."""


@dataclass(frozen=True)
class Layout:
    """The paths of the sandbox of one clone."""

    clone: Path
    base: Path
    """Where run data, template and copies lie: the house for root, `.sandbox/` for everybody else."""

    @classmethod
    def of(cls, clone: Path = CLONE) -> "Layout":
        """Return the layout for whoever runs this."""
        house = HOUSES / hashlib.sha256(str(clone).encode()).hexdigest()[:12]
        return cls(clone=clone, base=house if running_as_root() else clone / ".sandbox")

    @property
    def private(self) -> Path:
        """Folder in the clone, for its owner only."""
        return self.clone / ".sandbox"

    @property
    def state(self) -> Path:
        """What scripts read; exists while the sandbox runs."""
        return self.private / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the process that runs the sandbox."""
        return self.private / "lock"

    @property
    def supervisor_log(self) -> Path:
        """Output of the process that runs the sandbox in the background."""
        return self.private / "supervisor.log"

    @property
    def run(self) -> Path:
        """Everything that one run writes; a start begins with it empty."""
        return self.base / "run"

    @property
    def logs(self) -> Path:
        """Log files of the Airflow components and workers."""
        return self.run / "logs"

    @property
    def task_logs(self) -> Path:
        """Airflow's task logs, written by every worker and shown by the api-server."""
        return self.run / "task-logs"

    @property
    def topology(self) -> Path:
        """The topology with absolute roots."""
        return self.run / "topology.yaml"

    @property
    def sites(self) -> Path:
        """A folder for each site."""
        return self.run / "sites"

    def site(self, short_name: str) -> Path:
        """Return the folder of a site, closed to the others."""
        return self.sites / short_name

    def home(self, component: str) -> Path:
        """Return AIRFLOW_HOME of a component that is not a worker."""
        return self.run / "control" / component

    def worker_home(self, *, site: str, host: str) -> Path:
        """Return AIRFLOW_HOME of a worker."""
        return self.site(site) / "workers" / host
