"""Airflow on the sandbox's servers: its components, and a Celery worker for each host of the topology."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from celery import Celery

from include.errors import SandboxError
from include.sandbox.accounts import Account, private_file, private_folder
from include.sandbox.accounts_of_sites import Accounts
from include.sandbox.airflow_config import AirflowConfig
from include.sandbox.api import AirflowApi
from include.sandbox.components import COMPONENTS, PRELOADED, airflow_command, queues_of_host, worker_arguments
from include.sandbox.connections import ops_db_connection, site_connections
from include.sandbox.house import House
from include.sandbox.layout import Layout
from include.sandbox.process import Command, Daemon
from include.sandbox.servers import Servers
from include.sandbox.state import Worker
from include.topology import Topology

_START_SECONDS = 180
"""Generous: a cold start compiles, and the machine may be busy."""
_POLL_SECONDS = 0.3
"""Each question costs the api-server what the others need to start."""
_STOP_SECONDS = 5
"""Running tasks are not awaited for longer; ops-db takes their work back."""


class AirflowProcesses:
    """The processes of Airflow."""

    def __init__(
        self,
        *,
        config: AirflowConfig,
        topology: Topology,
        layout: Layout,
        house: House,
        accounts: Accounts,
        servers: Servers,
    ) -> None:
        self._config = config
        self._topology = topology
        self._layout = layout
        self._house = house
        self._accounts = accounts
        self._servers = servers
        self._celery = Celery(broker=config.broker_url, set_as_current=False)
        self.components: dict[str, Daemon] = {}
        self.workers: dict[str, Daemon] = {}

    def launch(self) -> None:
        """Start all of them, without waiting."""
        for name, arguments in COMPONENTS.items():
            self.components[name] = Daemon.launch(self._component(name, arguments))
        for host in self._topology.hosts:
            self.workers[host.name] = Daemon.launch(self._worker(host.name))

    def await_ready(self, api: AirflowApi, *, on_progress: Callable[[str], None]) -> None:
        """Return once every component is healthy and every worker answers.

        Raises:
            SandboxError: one of them died or was too slow.
        """
        for name, daemon in self.components.items():
            await_airflow(daemon, lambda name=name: _is_healthy(api, name))  # type: ignore[misc]
            on_progress(name)
        for host, daemon in self.workers.items():
            await_airflow(daemon, lambda host=host: self._answers(host))  # type: ignore[misc]
            on_progress(f"worker {host}")

    def stop(self) -> None:
        """Stop all of them."""
        daemons = (*self.workers.values(), *self.components.values())
        if daemons:
            with ThreadPoolExecutor(max_workers=len(daemons)) as pool:
                list(pool.map(lambda daemon: daemon.stop(grace_seconds=_STOP_SECONDS), daemons))
        self._celery.close()

    def start_worker(self, host: str) -> None:
        """Start a worker that was stopped or killed, and return once it answers."""
        if self._daemon(host).is_alive():
            raise SandboxError(f"The worker {host} is running.")
        self.workers[host] = Daemon.launch(self._worker(host))
        await_airflow(self.workers[host], lambda: self._answers(host))

    def stop_worker(self, host: str) -> None:
        """Stop a worker; tasks that do not end within seconds are cut off."""
        self._daemon(host).stop(grace_seconds=_STOP_SECONDS)

    def kill_worker(self, host: str) -> None:
        """Kill a worker and its tasks at once, as a power cut would."""
        self._daemon(host).kill()

    def described_workers(self) -> dict[str, Worker]:
        """Return what the state file says of the workers."""
        return {
            host: Worker(pid=daemon.pid, queues=queues_of_host(self._topology, host), log=daemon.command.log)
            for host, daemon in self.workers.items()
        }

    def _daemon(self, host: str) -> Daemon:
        if host not in self.workers:
            raise SandboxError(f"There is no worker {host!r}. There are: {', '.join(self.workers)}.")
        return self.workers[host]

    def _component(self, name: str, arguments: tuple[str, ...]) -> Command:
        account = self._accounts.control
        home = self._layout.home(name)
        environment = self._config.control(home) | ops_db_connection(self._servers.ops_db_url)
        return self._command(name, arguments, environment=environment, account=account)

    def _worker(self, host: str) -> Command:
        site = self._topology.host(host).site
        home = self._layout.worker_home(site=site, host=host)
        connections = site_connections(
            self._servers.identities[site],
            topology=self._topology,
            sftp=self._servers.sftp,
            stores=self._servers.stores,
        )
        environment = self._config.common(home) | ops_db_connection(self._servers.ops_db_url) | connections
        arguments = worker_arguments(
            host=host,
            queues=queues_of_host(self._topology, host),
            concurrency=self._topology.host(host).concurrency,
        )
        environment["DTS_HOST"] = host
        return self._command(f"worker-{host}", arguments, environment=environment, account=self._accounts.of_site(site))

    def _command(
        self, name: str, arguments: tuple[str, ...], *, environment: dict[str, str], account: Account | None
    ) -> Command:
        home = private_folder(self._layout.run / environment["AIRFLOW_HOME"], account=account)
        # Everything is in the environment; Airflow would write a file of 2000 lines, with keys of its own.
        private_file(home / "airflow.cfg", "", account=account)
        return airflow_command(
            arguments,
            name=name,
            log=self._layout.logs / f"{name}.log",
            programs=self._house.programs,
            environment=environment,
            account=account,
            module=PRELOADED if name == "dag-processor" or name.startswith("worker-") else "airflow",
        )

    def _answers(self, host: str) -> bool:
        name = f"celery@{host}"
        return bool(self._celery.control.inspect(destination=[name], timeout=0.5).ping())


def await_airflow(daemon: Daemon, ready: Callable[[], bool]) -> None:
    """Return once something that Airflow is asked about one of its processes is so; raises like `await_ready`."""
    daemon.await_ready(ready, timeout_seconds=_START_SECONDS, poll_seconds=_POLL_SECONDS)


def _is_healthy(api: AirflowApi, component: str) -> bool:
    health = api.health()
    if component == "api-server":
        return bool(health) and api.task_api_answers()
    return health.get(component.replace("-", "_")) == "healthy"
