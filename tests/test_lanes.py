"""Lanes of the sandbox's topology."""

from pathlib import Path

import pytest

from include.errors import BadInputError
from include.lanes import PLACES, all_lanes, lanes_of_host, lanes_of_kind
from include.topology import OperationKind, Topology, load_topology, parse_topology

FOLDER = Path(__file__).parent.parent / "include" / "topologies"

BY_KIND = {
    OperationKind.REGISTRATION: ["ccat_source"],
    OperationKind.PACKAGING: ["ccat_source"],
    OperationKind.BUNDLING: ["ccat_buffer", "cologne_buffer", "us_buffer"],
    OperationKind.TRANSFER: ["cologne_buffer", "us_buffer"],
    OperationKind.UNPACKING: ["cologne_buffer", "us_buffer"],
    OperationKind.ARCHIVING: ["cologne_archive", "us_archive"],
    OperationKind.STAGING: ["cologne_processing"],
    OperationKind.DELETION: ["ccat_source", "ccat_buffer", "cologne_buffer", "cologne_processing", "us_buffer"],
    OperationKind.SCRUBBING: ["ccat_buffer", "cologne_buffer", "cologne_archive", "us_buffer", "us_archive"],
}

BY_HOST = {
    "ccat-instrument": {"ccat_source_registration", "ccat_source_packaging", "ccat_source_deletion"},
    "ccat-buffer": {"ccat_buffer_bundling", "ccat_buffer_deletion", "ccat_buffer_scrubbing"},
    "cologne": {
        "cologne_buffer_bundling",
        "cologne_buffer_transfer",
        "cologne_buffer_unpacking",
        "cologne_buffer_deletion",
        "cologne_archive_archiving",
        "cologne_processing_staging",
        "cologne_processing_deletion",
        "cologne_buffer_scrubbing",
        "cologne_archive_scrubbing",
    },
    "us": {
        "us_buffer_bundling",
        "us_buffer_transfer",
        "us_buffer_unpacking",
        "us_buffer_deletion",
        "us_archive_archiving",
        "us_buffer_scrubbing",
        "us_archive_scrubbing",
    },
}


@pytest.fixture
def sandbox() -> Topology:
    return load_topology(FOLDER / "sandbox.yaml")


@pytest.mark.parametrize("kind", OperationKind)
def test_each_kind_runs_where_it_belongs(sandbox: Topology, kind: OperationKind) -> None:
    assert [lane.location.full_name for lane in lanes_of_kind(sandbox, kind)] == BY_KIND[kind]


@pytest.mark.parametrize("host", BY_HOST)
def test_each_host_listens_to_the_lanes_of_its_locations(sandbox: Topology, host: str) -> None:
    assert {lane.name for lane in lanes_of_host(sandbox, host)} == BY_HOST[host]


@pytest.mark.parametrize("file", ["sandbox.yaml", "ccat.yaml"])
def test_every_lane_has_a_host_and_a_name_of_its_own(file: str) -> None:
    topology = load_topology(FOLDER / file)
    names = [lane.name for lane in all_lanes(topology)]
    assert len(names) == len(set(names))
    listened_to = {lane.name for host in topology.hosts for lane in lanes_of_host(topology, host.name)}
    assert listened_to == set(names)


@pytest.mark.parametrize("file", ["sandbox.yaml", "ccat.yaml"])
def test_nothing_is_ever_deleted_from_an_archive(file: str) -> None:
    topology = load_topology(FOLDER / file)
    deletion = lanes_of_kind(topology, OperationKind.DELETION)
    assert {lane.location.location_type for lane in deletion} == {"source", "buffer", "processing"}


def test_a_lane_is_named_like_its_queue_and_its_group(sandbox: Topology) -> None:
    (lane,) = lanes_of_kind(sandbox, OperationKind.STAGING)
    assert (lane.name, lane.group_id, lane.slots) == ("cologne_processing_staging", "at_cologne_processing", 2)


def test_slots_come_from_the_topology() -> None:
    text = (FOLDER / "sandbox.yaml").read_text()
    topology = parse_topology(
        text.replace("location_type: processing\n", "location_type: processing\n    slots: {staging: 5}\n"), where="x"
    )
    assert [lane.slots for lane in lanes_of_kind(topology, OperationKind.STAGING)] == [5]


def test_an_unknown_host_is_named(sandbox: Topology) -> None:
    with pytest.raises(BadInputError, match="no host 'mars'"):
        lanes_of_host(sandbox, "mars")


def test_lanes_come_stage_by_stage(sandbox: Topology) -> None:
    kinds = [lane.kind for lane in all_lanes(sandbox)]
    assert list(dict.fromkeys(kinds)) == list(PLACES)
