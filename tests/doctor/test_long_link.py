"""`dts doctor` at the near end of an ocean: what it forecasts against what it then measures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from include.doctor.finding import Verdict
from include.link.long_link import Host, LongLink, Shape, Tuning
from include.sandbox import programs
from tests.bench.places import Server, serving
from tests.observatory import sandbox_topology

SMOOTH = Shape(loss=0)
"""Each loss throws cubic back for ten seconds, so what one connection has in half a minute is chance (1.3 to 5 MB/s
were seen): without loss it is the kernel's buffers, which is what this is about."""
BOUNDS = ("--seconds", "5", "--most-mb", "200", "--loss-percent", "0")
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def link(tmp_path: Path):
    missing = LongLink.why_not() or (None if programs.sshd() else "no sshd is installed")
    if missing:
        pytest.skip(missing)
    with LongLink.up(folder=tmp_path / "link", name="dtsdoctor", shape=SMOOTH) as link:
        link.tune(Tuning.STOCK)
        yield link


def examined(server: Server, *, link: LongLink, folder: Path) -> dict[str, dict[str, object]]:
    """Run the doctor at the host `cologne`, which pulls from the telescope over the link."""
    topology = sandbox_topology(folder / "sites")
    for location in topology.data_locations:
        if location.storage.type == "disk":
            Path(location.storage.root).mkdir(parents=True)
    file = folder / "topology.yaml"
    file.write_text(yaml.safe_dump(topology.model_dump(mode="json")))
    extra = {"key_file": str(server.key), "host_key": server.host_key}
    connection = {
        "conn_type": "sftp",
        "host": server.address,
        "port": server.port,
        "login": server.user,
        "extra": extra,
    }
    environment = {
        **os.environ,
        "DTS_HOST": "cologne",
        "DTS_TOPOLOGY": str(file),
        "DTS_OPS_DB_URL": "postgresql+psycopg://nobody@127.0.0.1:1/ops_db",
        "AIRFLOW_CONN_CCAT_BUFFER": json.dumps(connection),
    }
    done = subprocess.run(
        link.command(Host.B, sys.executable, "-m", "include.cli", "doctor", "--json", *BOUNDS),
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return {f"{found['area']}: {found['what']}": found for found in json.loads(done.stdout)["findings"]}


@pytest.mark.slow
@pytest.mark.timeout(118)
def test_a_stock_host_is_told_what_its_settings_limit_and_the_forecast_is_what_is_measured(link, tmp_path):
    with serving(tmp_path / "ssh", link=link) as server:
        found = examined(server, link=link, folder=tmp_path)
    assert 240 < found["link: ccat_buffer, round trip"]["value"] < 350
    assert found["link: ccat_buffer, connect"]["verdict"] == Verdict.GOOD
    forecast = found["kernel: one connection, forecast"]
    assert forecast["verdict"] == Verdict.COULD_BE_BETTER
    assert "bbr at both ends" in forecast["sentence"]
    assert found["kernel: receive buffer (tcp_rmem)"]["sysctl"] == ["net.ipv4.tcp_rmem = 4096 131072 67108864"]
    measured = found["link: ccat_buffer, one connection"]["value"]
    assert forecast["value"] / 2 < measured < forecast["value"] * 2
    assert found["link: ccat_buffer, many connections"]["value"] > 2 * measured
    assert found["link: us_buffer, reading"]["verdict"] == Verdict.NOT_MEASURED
    assert found["ops-db: answers"]["verdict"] == Verdict.BAD
