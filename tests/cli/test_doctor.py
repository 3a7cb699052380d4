"""`dts doctor` as it is typed, at the sandbox's host `cologne`, against real servers."""

import json
from pathlib import Path

import pytest
import yaml

from include.cli import doctor_patient
from include.doctor.connections import s3_address, sftp_address
from include.sandbox.s3 import S3
from include.sandbox.sftp import Sftp
from include.sandbox.state import State, Store
from tests.observatory import Observatory

SHORT = ("--seconds", "0.5", "--most-mb", "20", "--peak-tb", "0.001")


@pytest.fixture
def site(observatory: Observatory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The topology file, in the environment."""
    file = tmp_path / "topology.yaml"
    file.write_text(yaml.safe_dump(observatory.topology.model_dump(mode="json")))
    monkeypatch.setenv("DTS_TOPOLOGY", str(file))
    monkeypatch.delenv("DTS_HOST", raising=False)
    monkeypatch.delenv("AIRFLOW__CELERY__BROKER_URL", raising=False)
    return file


@pytest.fixture
def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a worker of Cologne has in its environment."""
    with Sftp.running(tmp_path / "sftp") as server, S3.running(tmp_path / "s3", bucket="cologne-archive") as store:
        extra = {"key_file": str(server.client_key.private), "host_key": server.host_key.public}
        sftp = {"conn_type": "sftp", "host": server.host, "port": server.port, "login": server.user, "extra": extra}
        s3 = {"conn_type": "aws", "login": store.key, "password": store.secret}
        monkeypatch.setenv("AIRFLOW_CONN_CCAT_BUFFER", json.dumps(sftp))
        monkeypatch.setenv("AIRFLOW_CONN_COLOGNE_ARCHIVE", json.dumps(s3 | {"extra": {"endpoint_url": store.endpoint}}))
        yield


def test_a_host_is_looked_at_and_nothing_stays_behind(dts, observatory, site, connections):
    before = set(observatory.root.rglob("*"))
    result = dts("doctor", "--host", "cologne", "--json", *SHORT)
    document = json.loads(result.out)
    found = {f"{one['area']}: {one['what']}": one for one in document["findings"]}
    assert (result.code, document["fit"], document["host"]) == (0, True, "cologne")
    for good in (
        "link: ccat_buffer, cipher",
        "link: ccat_buffer, many connections",
        "archive: cologne_archive, put",
        "archive: cologne_archive, get",
        "disk: cologne_buffer, space",
        "disk: cologne_processing, write",
        "clock: against ops-db",
        "ops-db: schema",
        "ops-db: topology",
    ):
        assert found[good]["verdict"] == "good", found[good]
    assert found["link: us_buffer, reading"]["verdict"] == "not measured"
    assert "AIRFLOW_CONN_US_BUFFER is not set" in found["link: us_buffer, reading"]["sentence"]
    assert set(observatory.root.rglob("*")) == before


def test_something_bad_ends_with_1_and_says_what_to_do(dts, observatory, site):
    Path(observatory.topology.location("us_buffer").storage.root).rmdir()
    result = dts("doctor", "--host", "us", *SHORT)
    assert result.code == 1
    assert [row[2] for row in result.rows() if row[:2] == ["disk", "us_buffer, reached"]] == ["bad"]
    assert "disk, us_buffer, reached (bad): Mount it" in result.out
    assert result.err == ""


def test_a_sending_host_is_looked_at_without_peers(dts, site):
    result = dts("doctor", "--host", "ccat-buffer", *SHORT)
    assert result.code == 0
    assert not [row for row in result.rows() if row[:1] == ["link"]]
    assert [row[2] for row in result.rows() if row[:2] == ["kernel", "window scaling"]] == ["good"]


def test_a_round_trip_can_be_supposed(dts, site):
    result = dts("doctor", "--host", "ccat-buffer", "--round-trip-ms", "250", *SHORT)
    assert "a site is 250 ms away: one connection can carry about" in result.out


def test_without_a_name_what_is_local_is_looked_at(dts, site):
    result = dts("doctor", *SHORT)
    assert result.code == 0
    assert "which host this is was not said: `--host` or DTS_HOST, one of ccat-instrument" in result.out
    assert [row[2] for row in result.rows() if row[:2] == ["disk", "ccat_source, write"]] == ["good"]


def test_a_topology_that_was_not_applied_is_bad(dts, observatory, site):
    changed = observatory.topology.model_dump(mode="json")
    changed["policy"]["clock_seconds"] = 77
    site.write_text(yaml.safe_dump(changed))
    result = dts("doctor", "--host", "ccat-buffer", *SHORT)
    assert result.code == 1
    assert [row[2] for row in result.rows() if row[:2] == ["ops-db", "topology"]] == ["bad"]


def test_a_host_that_nobody_knows_is_refused(dts, site):
    result = dts("doctor", "--host", "nowhere")
    assert result.code == 1
    assert result.err.startswith("dts: There is no host 'nowhere' in the topology. There are: ccat-instrument")


def test_in_a_sandbox_the_credentials_are_those_of_the_site(tmp_path, monkeypatch, far_from_any_sandbox):
    run = tmp_path / "run"
    for folder in ("sites/cologne/ssh", "sites/ccat/sftp", "redis"):
        (run / folder).mkdir(parents=True)
    known = "[127.0.0.1]:1 ssh-ed25519 OTHER\n[127.0.0.1]:2 ssh-ed25519 CCAT\n"
    (run / "sites/cologne/ssh/known_hosts").write_text(known)
    (run / "redis/redis.conf").write_text("port 3\nrequirepass geheim\n")
    state = State(
        url="http://localhost:8080",
        users=(),
        ops_db_url="postgresql+psycopg://dts:x@127.0.0.1:5/ops_db",
        topology=run / "topology.yaml",
        s3={"us_archive": Store(endpoint="http://127.0.0.1:4", bucket="b", key="k", secret="s")},
        locations={"ccat_buffer": "/ccat/buffer", "us_archive": "b"},
        workers={},
        ports={"sftp_ccat": 2, "redis": 3},
        supervisor_pid=1,
        processes={},
    )
    (tmp_path / ".sandbox").mkdir()
    state.write(tmp_path / ".sandbox/state.json")
    found = doctor_patient.connections("cologne")
    sftp = sftp_address(found.need("ccat_buffer"), connection_id="ccat_buffer", root="/ccat/buffer")
    assert (sftp.port, sftp.host_key, sftp.username) == (2, "ssh-ed25519 CCAT", (run / "sites/ccat/sftp").owner())
    assert sftp.private_key_path == str(run / "sites/cologne/ssh/id_ed25519")
    s3 = s3_address(found.need("us_archive"), connection_id="us_archive", bucket="b")
    assert (s3.endpoint_url, s3.key, s3.secret) == ("http://127.0.0.1:4", "k", "s")
    assert doctor_patient.broker_url() == "redis://:geheim@127.0.0.1:3/0"
    assert doctor_patient.named_ops_db_url() == state.ops_db_url
    monkeypatch.setenv("DTS_OPS_DB_URL", "postgresql://elsewhere/ops_db")
    assert doctor_patient.connections("cologne").find("ccat_buffer") is None
