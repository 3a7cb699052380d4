"""What a worker can reach: its own site's files, the code that everybody else runs, and nothing of another site."""

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from include.topology import load_topology
from tests.end_to_end.observatory_up import Running
from tests.observatory import SANDBOX

COMPONENTS = {"api-server", "scheduler", "dag-processor", "triggerer"}

pytestmark = pytest.mark.timeout(600)  # the first test also starts the sandbox


def site_folders(running: Running) -> dict[str, Path]:
    """Return the folder of each site, in which all of its files lie."""
    folders: dict[str, Path] = {}
    for full_name, place in running.sandbox.state.locations.items():
        if place.startswith("/"):
            site = full_name.split("_")[0]
            parts = Path(place).parts
            folders[site] = Path(*parts[: parts.index(site) + 1])
    return folders


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give each site a system account of its own")
def test_a_worker_can_enter_no_other_sites_folder(running: Running) -> None:
    folders = site_folders(running)
    assert set(folders) == {"ccat", "cologne", "us"}
    owners = {site: folder.stat().st_uid for site, folder in folders.items()}
    assert len(set(owners.values())) == len(folders)
    assert 0 not in owners.values()
    for site_of_worker, uid in owners.items():
        entered = {site for site, folder in folders.items() if can_look_into(folder, uid=uid)}
        assert entered == {site_of_worker}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give each site a system account of its own")
def test_a_worker_runs_as_the_account_of_its_site(running: Running) -> None:
    folders = site_folders(running)
    hosts = load_topology(SANDBOX).hosts
    sites = {host.name: host.site for host in hosts}
    for host, worker in running.sandbox.state.workers.items():
        assert psutil.Process(worker.pid).uids().effective == folders[sites[host]].stat().st_uid, host


def test_every_process_of_airflow_reads_the_same_code(running: Running) -> None:
    """What they were started with: some of them write their title over what the kernel shows of it."""
    commands = {name: daemon.command for name, daemon in running.sandbox.daemons().items()}
    airflow = {name for name in commands if name.startswith("worker ")} | COMPONENTS
    assert len(airflow) == len(COMPONENTS) + len(running.sandbox.state.workers)
    paths = {commands[name].environment.get("PYTHONPATH") for name in airflow}
    assert len(paths) == 1, paths
    (path,) = paths
    assert path is not None
    assert (Path(path) / "include" / "topology.py").is_file()
    assert {Path(commands[name].environment["DTS_TOPOLOGY"]) for name in airflow} == {running.sandbox.layout.topology}


def can_look_into(folder: Path, *, uid: int) -> bool:
    """As a process of this account sees it."""
    ran = subprocess.run(
        ["/usr/bin/env", "ls", "--", str(folder)], user=uid, group=uid, extra_groups=[], cwd="/", capture_output=True,
        check=False,
    )  # fmt: skip
    if ran.returncode != 0:
        assert b"ermission" in ran.stderr, ran.stderr
    return ran.returncode == 0
