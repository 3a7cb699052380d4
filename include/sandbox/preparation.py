"""What must be there before anything starts: accounts, readable code, compiled packages, template, empty folders."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from include.sandbox import house
from include.sandbox.accounts import own, private_folder
from include.sandbox.accounts_of_sites import Accounts, prepare
from include.sandbox.house import House
from include.sandbox.layout import HOUSES, Layout
from include.sandbox.programs import Programs
from include.sandbox.template import Template
from include.topology import DiskStorage, Topology, load_topology

ACCOUNTS_RECORD = HOUSES / "accounts"
"""Names of the accounts that a sandbox made, so that `make clean` removes no others."""


@dataclass(frozen=True)
class Prepared:
    """Everything that the servers and Airflow are started from."""

    accounts: Accounts
    house: House
    template: Template
    topology: Topology


def prepare_run(layout: Layout, *, topology_file: Path, on_progress: Callable[[str], None]) -> Prepared:
    """Empty the run folder and prepare it; slow only the first time after the environment has changed.

    Raises:
        TopologyError: the topology file is wrong.
        SandboxError: an account, the house or the template cannot be made.
    """
    relative = load_topology(topology_file)
    private_folder(layout.private, account=None)
    layout.base.mkdir(parents=True, exist_ok=True)
    accounts = prepare(tuple(site.short_name for site in relative.sites), record=ACCOUNTS_RECORD)
    built = house.build(layout, account=accounts.control)
    key = house.environment_key(layout)
    template = Template(layout.base / "templates" / key, house=built, account=accounts.control)
    if not template.is_made():
        on_progress("compiling packages (once)")
        _compile(built.programs)
        on_progress("making Airflow's database (once)")
        template.make()
    _empty_run_folder(layout, accounts=accounts, topology=relative)
    return Prepared(accounts=accounts, house=built, template=template, topology=_resolved(topology_file, layout=layout))


def _compile(programs: Programs) -> None:
    """Compile the packages once, side by side, rather than in each of a dozen processes at start."""
    subprocess.run(
        [programs.python, "-m", "compileall", "-q", "-j", "0", programs.site_packages],
        check=False,  # some packages carry templates that are no Python
        capture_output=True,
        env=programs.environment_variables,
    )


def _empty_run_folder(layout: Layout, *, accounts: Accounts, topology: Topology) -> None:
    shutil.rmtree(layout.run, ignore_errors=True)
    shared = 0o711 if accounts.control else 0o700
    for folder in (layout.run, layout.sites):
        folder.mkdir(mode=0o700)
        folder.chmod(shared)
    for folder in (layout.logs, layout.run / "control"):
        private_folder(folder, account=None)
    (layout.run / "control").chmod(shared)
    private_folder(layout.task_logs, account=accounts.control)
    layout.task_logs.chmod(0o2770)
    for site in topology.sites:
        account = accounts.of_site(site.short_name)
        private_folder(layout.site(site.short_name), account=account)
        private_folder(layout.site(site.short_name) / "workers", account=account)
    for location in topology.data_locations:
        if isinstance(location.storage, DiskStorage):
            root = layout.sites / location.storage.root
            root.mkdir(parents=True, exist_ok=True)
            own(root, account=accounts.of_site(location.site))


def _resolved(topology_file: Path, *, layout: Layout) -> Topology:
    """Write the topology with absolute roots to where every process reads it, and return it."""
    content = yaml.safe_load(topology_file.read_text(encoding="utf-8"))
    for location in content["data_locations"]:
        if "root" in location["storage"]:
            location["storage"]["root"] = str(layout.sites / location["storage"]["root"])
    layout.topology.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    layout.topology.chmod(0o644)
    return load_topology(layout.topology)
