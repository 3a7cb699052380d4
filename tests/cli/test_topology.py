import json
from pathlib import Path

import pytest
import yaml

from include.lanes import all_lanes, lanes_of_host
from include.topology import Topology, load_topology
from tests.cli.conftest import Dts, Night
from tests.observatory import SANDBOX


@pytest.fixture
def sandbox() -> Topology:
    return load_topology(SANDBOX)


def test_a_valid_file_is_valid(bare_dts: Dts) -> None:
    result = bare_dts("topology", "validate", str(SANDBOX))
    assert result.code == 0
    assert "is valid: 3 sites, 7 locations, 4 hosts" in result.out


def test_every_mistake_is_named_with_its_place(bare_dts: Dts, tmp_path: Path) -> None:
    content = yaml.safe_load(SANDBOX.read_text())
    content["hosts"][0]["site"] = "atlantis"
    content["policy"]["archive_copies"] = 0
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(content))
    result = bare_dts("topology", "validate", str(file))
    assert (result.code, result.out) == (1, "")
    assert "policy.archive_copies" in result.err
    assert "Traceback" not in result.err


def test_a_verification_that_is_too_old_before_the_next_scrub_is_a_warning(bare_dts: Dts, tmp_path: Path) -> None:
    content = yaml.safe_load(SANDBOX.read_text())
    content["policy"] |= {
        "scrub_after_days": 180,
        "verified_within_days": 180,
        "retention": [{"at": "source", "verified_within_days": 179.5}, {"at": "buffer"}],
    }
    file = tmp_path / "eager.yaml"
    file.write_text(yaml.safe_dump(content))
    result = bare_dts("topology", "validate", str(file))
    assert (result.code, result.err) == (0, "")
    (warning,) = [line for line in result.out.splitlines() if line.startswith("Warning")]
    assert warning == (
        "Warning: policy.retention.0 (rule 1).verified_within_days: 179.5 is less than scrub_after_days (180), so most"
        " deletions would first have archive copies read again."
    )
    content["policy"] |= {"verified_within_days": 30, "retention": []}
    file.write_text(yaml.safe_dump(content))
    assert "Warning: policy.verified_within_days: 30 is less" in bare_dts("topology", "validate", str(file)).out
    assert "Warning" not in bare_dts("topology", "validate", str(SANDBOX)).out


def test_a_file_that_is_not_there_is_one_line(bare_dts: Dts, tmp_path: Path) -> None:
    result = bare_dts("topology", "show", str(tmp_path / "none.yaml"))
    assert result.code == 1
    assert "none.yaml cannot be read" in result.err


def test_the_file_of_the_environment_is_meant(bare_dts: Dts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTS_TOPOLOGY", str(SANDBOX))
    assert "cologne_processing" in bare_dts("topology", "show").out


def test_applying_says_what_changed(dts: Dts, tmp_path: Path) -> None:
    first = dts("topology", "apply", str(SANDBOX), "--by", "ada")
    assert first.code == 0
    assert "+ data_locations.us_archive" in first.out
    assert "was applied already; nothing changed" in dts("topology", "apply", str(SANDBOX)).out
    content = yaml.safe_load(SANDBOX.read_text())
    content["policy"]["clock_seconds"] = 77
    content["hosts"][2]["concurrency"] = 9
    content["instruments"].pop()
    file = tmp_path / "changed.yaml"
    file.write_text(yaml.safe_dump(content))
    lines = dts("topology", "apply", str(file)).out.splitlines()
    assert lines[:3] == [
        "  hosts.cologne.concurrency: 4 -> 9",
        "- instruments.chai",
        "  policy.clock_seconds: 60 -> 77",
    ]


def test_a_location_that_holds_copies_cannot_leave(dts: Dts, night: Night, tmp_path: Path) -> None:
    content = yaml.safe_load(SANDBOX.read_text())
    content["data_locations"] = [each for each in content["data_locations"] if each["site"] != "us"]
    content["hosts"] = [each for each in content["hosts"] if each["site"] != "us"]
    content["policy"] |= {"archive_copies": 1, "archive_sites": 1}
    file = tmp_path / "smaller.yaml"
    file.write_text(yaml.safe_dump(content))
    result = dts("topology", "apply", str(file))
    assert result.code == 1
    assert "us_archive still holds 1 copy" in result.err


def test_a_location_that_holds_copies_changes_its_bucket_only_if_they_were_moved(
    dts: Dts, night: Night, tmp_path: Path
) -> None:
    content = yaml.safe_load(SANDBOX.read_text())
    next(each for each in content["data_locations"] if each["storage"].get("bucket") == "us-archive")["storage"][
        "bucket"
    ] = "us-new-archive"
    file = tmp_path / "moved.yaml"
    file.write_text(yaml.safe_dump(content))
    others = [f"{each['site']}_{each['name']}" for each in content["data_locations"]]
    others.remove("us_archive")
    moved = [word for name in others for word in ("--moved", name)]
    result = dts("topology", "apply", str(file), *moved)
    assert result.code == 1
    assert "us_archive still holds 1 copy below bucket us-archive" in result.err
    assert "--moved us_archive" in result.err
    result = dts("topology", "apply", str(file), *moved, "--moved", "us_archive")
    assert result.code == 0, result.err


def test_queues_are_those_of_the_hosts_lanes_in_one_line(bare_dts: Dts, sandbox: Topology) -> None:
    result = bare_dts("topology", "queues", str(SANDBOX), "--host", "us")
    assert result.out.count("\n") == 1
    assert result.out.strip().split(",") == [lane.name for lane in lanes_of_host(sandbox, "us")]


def test_the_middle_listens_to_control(bare_dts: Dts) -> None:
    assert "control" in bare_dts("topology", "queues", str(SANDBOX), "--host", "cologne").out.strip().split(",")


def test_a_host_typed_wrongly_gives_those_that_there_are(bare_dts: Dts) -> None:
    result = bare_dts("topology", "queues", str(SANDBOX), "--host", "colonge")
    assert result.code == 1
    assert "ccat-instrument, ccat-buffer, cologne, us" in result.err


def test_pools_are_the_lanes_as_airflow_imports_them(bare_dts: Dts, sandbox: Topology) -> None:
    pools = json.loads(bare_dts("topology", "pools", str(SANDBOX)).out)
    assert {name: pool["slots"] for name, pool in pools.items()} == {
        lane.name: lane.slots for lane in all_lanes(sandbox)
    }
    assert all(set(pool) == {"slots", "description", "include_deferred"} for pool in pools.values())


def test_airflow_settings_has_the_sandboxs_pools_and_connections(sandbox: Topology) -> None:
    settings = yaml.safe_load((SANDBOX.parents[2] / "airflow_settings.yaml").read_text())["airflow"]
    assert {pool["pool_name"]: pool["pool_slot"] for pool in settings["pools"]} == {
        lane.name: lane.slots for lane in all_lanes(sandbox)
    }
    names = {location.full_name for location in sandbox.data_locations}
    assert {connection["conn_id"] for connection in settings["connections"]} == names | {"ops_db"}
