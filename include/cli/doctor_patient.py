"""With what the doctor reaches others: what the environment says, else what the running sandbox has."""

import json
import os
from pathlib import Path

from include.cli.place import ops_db_url, running_sandbox
from include.doctor.connections import PREFIX, Connections
from include.sandbox.connections import REGION, variable
from include.sandbox.ports import LOOPBACK
from include.sandbox.state import State

BROKER = "AIRFLOW__CELERY__BROKER_URL"


def sandbox_is_meant() -> bool:
    """Tell whether a sandbox runs, and the environment names neither another ops-db nor another topology."""
    named = {"DTS_OPS_DB_URL", "DTS_TOPOLOGY"} & os.environ.keys()
    return not named and running_sandbox() is not None


def named_ops_db_url() -> str | None:
    """Return the URL of ops-db where DTS_OPS_DB_URL or a sandbox names one; None otherwise."""
    if "DTS_OPS_DB_URL" in os.environ or sandbox_is_meant():
        return ops_db_url()
    return None


def connections(site: str | None) -> Connections:
    """Return the environment's connections; in a sandbox those of the site where the environment has none."""
    state = running_sandbox() if sandbox_is_meant() and site is not None else None
    of_sandbox = _of_sandbox(state, site=site) if state is not None and site is not None else {}
    own = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return Connections(of_sandbox | own)


def broker_url() -> str | None:
    """Return the URL of the broker, None where neither the environment nor a sandbox names it."""
    if BROKER in os.environ:
        return os.environ[BROKER]
    state = running_sandbox() if sandbox_is_meant() else None
    if state is None:
        return None
    try:
        lines = (_run(state) / "redis" / "redis.conf").read_text().splitlines()
    except OSError:
        return None
    password = next((line.split()[1] for line in lines if line.startswith("requirepass ")), "")
    return f"redis://:{password}@{LOOPBACK}:{state.ports['redis']}/0"


def _of_sandbox(state: State, *, site: str) -> dict[str, str]:
    """What `site` would ask the others with; its key is in its folder, which its account and root can read."""
    found: dict[str, str] = {}
    for full_name in state.locations:
        is_s3 = full_name in state.s3
        content = _s3(state, full_name) if is_s3 else _sftp(state, peer=full_name.split("_")[0], site=site)
        if content is not None:
            found[variable(full_name)] = json.dumps(content)
    return found


def _sftp(state: State, *, peer: str, site: str) -> dict[str, object] | None:
    port = state.ports.get(f"sftp_{peer}")
    ssh, server = _run(state) / "sites" / site / "ssh", _run(state) / "sites" / peer / "sftp"
    try:
        known = (ssh / "known_hosts").read_text().splitlines()
        account = server.owner()
    except (OSError, KeyError):
        return None  # the doctor says that there are no credentials
    host_key = next((line.partition(" ")[2] for line in known if line.startswith(f"[{LOOPBACK}]:{port} ")), "")
    extra = {"key_file": str(ssh / "id_ed25519"), "host_key": host_key}
    return {"conn_type": "sftp", "host": LOOPBACK, "port": port, "login": account, "extra": extra}


def _s3(state: State, full_name: str) -> dict[str, object]:
    store = state.s3[full_name]
    extra = {"endpoint_url": store.endpoint, "region_name": REGION}
    return {"conn_type": "aws", "login": store.key, "password": store.secret, "extra": extra}


def _run(state: State) -> Path:
    """The folder of a run: the topology in force lies at its top."""
    return state.topology.parent
