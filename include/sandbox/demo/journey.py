"""The journey itself: file, wait, ask for it back, wait until it is gone from where it is no longer needed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from include.errors import DtsError, SandboxError
from include.sandbox.api import AirflowApi
from include.sandbox.demo.instrument import Observation, conf_of
from include.sandbox.demo.progress import Display, read_progress
from include.sandbox.state import State
from include.topology import LocationType, Topology

POLL_SECONDS = 0.5
STALLED_SECONDS = 300
"""Nothing in ops-db has changed for so long: something is wrong."""

SOURCE = "ccat_source"
PROCESSING = "cologne_processing"

REFUSED = text("select verdict from filing where state = 'refused' order by id limit 1")
FAILED = text("select kind, explanation from operation where status = 'failed' order by id limit 1")
FILED = text(
    "select count(*) = :filings and coalesce(sum(file_count), 0) = :files from filing where state = 'accepted'"
)
# Every registered file is in a package, and every package has a verified copy in so many archives.
ARCHIVED = text(
    """
    select not exists (select from raw_data_file where raw_data_package_id is null)
      and not exists (
        select from raw_data_package p where (
          select count(*) from physical_copy c join data_location l on l.id = c.data_location_id
          where c.raw_data_package_id = p.id and l.location_type = 'long_term_archive'
            and c.status = 'present' and c.verified_at is not null and c.checksum = p.checksum
        ) < :archives)
    """
)
STAGED = text(
    """
    select not exists (
      select from raw_data_package p where not exists (
        select from physical_copy c where c.raw_data_package_id = p.id and c.status = 'staged'))
    """
)
GONE = text(
    """
    select not exists (
      select from physical_copy c join data_location l on l.id = c.data_location_id
      where l.location_type in ('source', 'buffer') and c.status <> 'deleted')
    """
)
PACKAGES = text("select name from raw_data_package order by id")
FINGERPRINT = text(
    """
    select (select count(*) from operation), (select sum(lease_token) from operation),
      (select count(*) from operation where status = 'completed'), (select max(lease_expires_at) from operation),
      (select count(*) from physical_copy), (select count(*) from filing where state <> 'received')
    """
)


@dataclass(frozen=True)
class Journey:
    """One run of the demo's main job."""

    state: State
    topology: Topology
    engine: Engine
    display: Display
    check: Callable[[], None]
    """Raises if a process of the sandbox has died."""

    def make(self, observations: list[Observation]) -> float:
        """Let the observations travel; return the seconds from the first filing to the last deletion.

        Raises:
            DtsError: a filing was refused, an operation failed, or nothing moved for five minutes.
        """
        began = time.monotonic()
        archives = len(self.topology.of_type(LocationType.LONG_TERM_ARCHIVE))
        for observation in observations:
            self._file(observation)
        files = sum(len(observation.files) for observation in observations)
        self._wait("registration", FILED, began=began, filings=len(observations), files=files)
        self._wait("the first archive", ARCHIVED, began=began, archives=1)
        self._ask_for_it_back()
        self._wait("every archive", ARCHIVED, began=began, archives=archives)
        self._wait("staging", STAGED, began=began)
        self._wait("deletion", GONE, began=began)
        self.display.show(read_progress(self.engine), seconds=time.monotonic() - began)
        return time.monotonic() - began

    def _file(self, observation: Observation) -> None:
        conf = conf_of(
            observation,
            source=Path(self.state.locations[SOURCE]),
            location=SOURCE,
            inline_files_max=self.topology.policy.inline_files_max,
        )
        with self._airflow_as(observation.instrument) as airflow:
            airflow.post(
                "/dags/registration/dagRuns",
                {"logical_date": None, "conf": conf, "dag_run_id": f"{observation.id}.demo"},
            )

    def _ask_for_it_back(self) -> None:
        with self.engine.connect() as connection:
            packages = list(connection.execute(PACKAGES).scalars())
        conf = {
            "packages": packages,
            "only_location": PROCESSING,
            "until": (datetime.now(UTC) + timedelta(days=7)).isoformat(),
            "reason": "demo",
        }
        with self._airflow_as("operator") as airflow:
            airflow.post("/dags/staging/dagRuns", {"logical_date": None, "conf": conf, "dag_run_id": "staging.demo"})

    @contextmanager
    def _airflow_as(self, name: str) -> Iterator[AirflowApi]:
        with AirflowApi(self.state.url, user=self.state.user(name)) as airflow:
            airflow.log_in()
            yield airflow

    def _wait(self, what: str, condition: object, *, began: float, **values: object) -> None:
        changed_at = time.monotonic()
        seen: object = None
        while True:
            self.check()
            with self.engine.connect() as connection:
                if connection.execute(condition, values).scalar_one():  # type: ignore[call-overload]
                    return
                if refused := connection.execute(REFUSED).scalar():
                    raise DtsError(f"A filing was refused: {refused}")
                if failed := connection.execute(FAILED).first():
                    raise DtsError(f"{failed.kind} failed: {failed.explanation}")
                fingerprint = tuple(connection.execute(FINGERPRINT).one())
            self.display.show(read_progress(self.engine), seconds=time.monotonic() - began)
            now = time.monotonic()
            if fingerprint != seen:
                seen, changed_at = fingerprint, now
            if now - changed_at > STALLED_SECONDS:
                logs = ", ".join(str(worker.log) for worker in self.state.workers.values())
                raise SandboxError(
                    f"Nothing has changed for {STALLED_SECONDS} s while waiting for {what}; see the logs: {logs}."
                )
            time.sleep(POLL_SECONDS)
