"""The sandbox: start a whole observatory, stop it, and hurt single workers in between.

    with Sandbox(overrides={"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15"}) as sandbox:
        sandbox.state.url
        sandbox.kill_worker("cologne")

Every start begins with empty sites and databases. After a stop the files of the last run stay until the next start or
`make clean`.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from include.errors import SandboxError
from include.lanes import all_lanes
from include.sandbox.accounts import private_file
from include.sandbox.accounts_of_sites import Accounts
from include.sandbox.airflow_config import AirflowConfig, made_users
from include.sandbox.airflow_processes import AirflowProcesses, await_airflow
from include.sandbox.api import AirflowApi
from include.sandbox.layout import Layout
from include.sandbox.lock import Lock
from include.sandbox.ports import configured_port, free_port, port_setting, port_to_use, require_different_ports
from include.sandbox.preparation import Prepared, prepare_run
from include.sandbox.process import Daemon
from include.sandbox.servers import Servers
from include.sandbox.state import State, Store

TOPOLOGY = Path(__file__).resolve().parents[1] / "topologies" / "sandbox.yaml"
UI_PORT = 8080


def _quiet(_: str) -> None:
    return


class Sandbox:
    """One observatory, owned by this process: it ends with it.

    `overrides` are AIRFLOW__... variables for every component and worker; `on_progress` hears what is up already.
    """

    def __init__(
        self,
        *,
        overrides: Mapping[str, str] | None = None,
        topology: Path = TOPOLOGY,
        on_progress: Callable[[str], None] = _quiet,
    ) -> None:
        self._overrides = dict(overrides or {})
        self._topology_file = topology
        self._on_progress = on_progress
        self.layout = Layout.of()
        self._lock = Lock(self.layout.lock)
        self._accounts = Accounts(control=None, sites={})
        self._servers: Servers | None = None
        self._airflow: AirflowProcesses | None = None
        self._state: State | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def state(self) -> State:
        """What `.sandbox/state.json` says."""
        if self._state is None:
            raise SandboxError("The sandbox has not been started.")
        return self._state

    def start(self) -> State:
        """Start everything and return once all of it is ready.

        Raises:
            SandboxError: a sandbox is running already, a port is taken, or a process did not start; nothing is left.
            TopologyError: the topology file is wrong.
        """
        self._lock.acquire()
        try:
            self.layout.state.unlink(missing_ok=True)
            self._start()
        except BaseException:
            self.stop()
            raise
        return self.state

    def stop(self) -> None:
        """Stop everything; harmless where nothing runs."""
        if self._airflow is not None:
            self._airflow.stop()
        if self._servers is not None:
            self._servers.stop()
        self.layout.state.unlink(missing_ok=True)
        self._lock.release()

    def start_worker(self, host: str) -> None:
        """Start the worker of a host again, and return once it answers."""
        self._running_airflow().start_worker(host)
        self._write_state()

    def stop_worker(self, host: str) -> None:
        """Stop the worker of a host; tasks that do not end within seconds are cut off."""
        self._running_airflow().stop_worker(host)

    def kill_worker(self, host: str) -> None:
        """Kill the worker of a host and its tasks at once, as a power cut would."""
        self._running_airflow().kill_worker(host)

    def api(self, user: str = "admin") -> AirflowApi:
        """Return a REST client, logged in."""
        api = AirflowApi(self.state.url, user=self.state.user(user))
        api.log_in()
        return api

    def daemons(self) -> dict[str, Daemon]:
        """Return everything that was started, by name."""
        servers = self._servers.daemons if self._servers else {}
        airflow = self._airflow
        if airflow is None:
            return servers
        return {**servers, **airflow.components, **{f"worker {host}": each for host, each in airflow.workers.items()}}

    def dead_processes(self) -> dict[str, Daemon]:
        """Return what has ended, by name; workers that were stopped or killed are among them."""
        return {name: daemon for name, daemon in self.daemons().items() if not daemon.is_alive()}

    def _start(self) -> None:
        require_different_ports(ui=UI_PORT)
        api_port = port_to_use(
            configured_port("UI", default=UI_PORT), server="the web page", setting=port_setting("UI")
        )
        prepared = prepare_run(self.layout, topology_file=self._topology_file, on_progress=self._on_progress)
        self._accounts = prepared.accounts
        self._servers = Servers(
            topology=prepared.topology, layout=self.layout, house=prepared.house, accounts=prepared.accounts
        )
        self._servers.start(prepared.template)
        self._on_progress("PostgreSQL, Redis, SFTP and S3")
        config = self._config(self._servers, prepared=prepared, api_port=api_port)
        private_file(config.passwords_file, config.passwords(), account=prepared.accounts.control)
        self._airflow = AirflowProcesses(
            config=config,
            topology=prepared.topology,
            layout=self.layout,
            house=prepared.house,
            accounts=prepared.accounts,
            servers=self._servers,
        )
        self._airflow.launch()
        self._servers.prepare_ops_db()
        self._on_progress("operations database")
        self._await_airflow(self._airflow, config=config, prepared=prepared)
        self._state = self._described(config, prepared=prepared)
        self._write_state()

    def _config(self, servers: Servers, *, prepared: Prepared, api_port: int) -> AirflowConfig:
        return AirflowConfig(
            root=prepared.house.root,
            topology=self.layout.topology,
            api_port=api_port,
            metadata_url=servers.metadata_url,
            broker_url=servers.redis.url(0),
            result_backend=servers.redis.url(1),
            users=made_users(),
            passwords_file=self.layout.run / "control" / "passwords.json",
            task_logs=self.layout.task_logs,
            trigger_log_port=free_port(),
            overrides=self._overrides,
        )

    def _await_airflow(self, airflow: AirflowProcesses, *, config: AirflowConfig, prepared: Prepared) -> None:
        with AirflowApi(config.url, user=config.users[0]) as api:
            airflow.await_ready(api, on_progress=self._on_progress)
            api.log_in()
            api.make_pools(all_lanes(prepared.topology))
            expected = {path.name for path in (prepared.house.root / "dags").glob("*.py")}
            await_airflow(airflow.components["dag-processor"], lambda: _are_parsed(api, expected))
            self._on_progress(f"{len(expected)} DAG files")

    def _described(self, config: AirflowConfig, *, prepared: Prepared) -> State:
        servers, airflow = self._servers, self._running_airflow()
        assert servers is not None
        return State(
            url=config.url,
            users=config.users,
            ops_db_url=servers.ops_db_url,
            topology=self.layout.topology,
            s3={
                name: Store(endpoint=store.endpoint, bucket=store.bucket, key=store.key, secret=store.secret)
                for name, store in servers.stores.items()
            },
            locations={
                location.full_name: location.storage.root
                if location.storage.type == "disk"
                else location.storage.bucket
                for location in prepared.topology.data_locations
            },
            workers=airflow.described_workers(),
            ports={"ui": config.api_port, **servers.ports},
            supervisor_pid=os.getpid(),
            processes={name: daemon.pid for name, daemon in {**servers.daemons, **airflow.components}.items()},
        )

    def _write_state(self) -> None:
        workers = self._running_airflow().described_workers()
        self._state = self.state.model_copy(update={"workers": workers})
        self._state.write(self.layout.state)

    def _running_airflow(self) -> AirflowProcesses:
        if self._airflow is None:
            raise SandboxError("The sandbox has not been started.")
        return self._airflow


def _are_parsed(api: AirflowApi, expected: set[str]) -> bool:
    """Tell whether every DAG file has been parsed; raises a SandboxError for one that cannot be."""
    if errors := api.import_errors():
        raise SandboxError("\n".join(f"The DAG file {file} cannot be parsed:\n{text}" for file, text in errors.items()))
    return expected <= api.dag_files()
