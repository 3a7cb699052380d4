"""One sandbox for all end-to-end tests: the real servers, Airflow and workers, with shortened timeouts."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from include.sandbox.ports import free_port
from include.sandbox.sandbox import Sandbox
from tests.end_to_end.observatory_up import Running
from tests.observatory import SANDBOX

OVERRIDES = {
    # A killed worker's task is noticed after 10 s instead of minutes, ...
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}
LEASE_SECONDS = 10  # ... and its leases end as soon.
TRANSFER_MBIT_PER_SECOND = 200  # A block takes 2.7 s: also on a busy machine a worker is killed before the last one.
BRAKE_BYTES = 60_000_000  # More than this is not deleted at once without somebody's yes: test_5_brake.py asks for it.


@pytest.fixture(scope="session")
def topology_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sandbox's topology with short leases; transfers from the observatory are slow enough to be killed in one."""
    content = yaml.safe_load(SANDBOX.read_text())
    for host in content["hosts"]:
        host["lease_seconds"] = LEASE_SECONDS
    content["policy"]["attempts_max"] = 3
    content["policy"]["brake"] = {"share": 1, "bytes": BRAKE_BYTES}
    content["routes"] = [
        {
            "from_location": "ccat_buffer",
            "to_location": f"{site}_buffer",
            "timetable": [{"mbit_per_second": TRANSFER_MBIT_PER_SECOND}],
        }
        for site in ("cologne", "us")
    ]
    path = tmp_path_factory.mktemp("topology") / "topology.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="session")
def running(topology_file: Path) -> Iterator[Running]:
    """The running sandbox."""
    os.environ.setdefault("DTS_SANDBOX_PORT_UI", str(free_port()))  # somebody's Airflow may be at 8080
    with Sandbox(overrides=OVERRIDES, topology=topology_file) as sandbox:
        observatory = Running.of(sandbox)
        yield observatory
        observatory.close()
