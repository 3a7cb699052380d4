"""InfluxDB 1, whose InfluxQL is that of InfluxDB 2. Where it is not installed, tests skip."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.sandbox.ports import free_port

PROGRAM = shutil.which("influxd")


@dataclass(frozen=True)
class Influx:
    url: str

    def write(self, lines: Sequence[str]) -> None:
        answer = httpx.post(f"{self.url}/write", params={"db": "dts"}, content="\n".join(lines))
        assert answer.status_code == 204, answer.text

    def query(self, query: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/query", params={"db": "dts", "q": query})
        (result,) = answer.json()["results"]
        assert "error" not in result, f"{query}: {result['error']}"
        return list(result.get("series", []))


@contextmanager
def influx_running(folder: Path) -> Iterator[Influx]:
    if PROGRAM is None:
        pytest.skip("InfluxDB is not installed (apt install influxdb)")
    port, other = free_port(), free_port()
    config = folder / "influxdb.conf"
    folder.mkdir()
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{other}"\n[meta]\ndir = "{folder}/meta"\n'
        f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n'
    )
    with subprocess.Popen(
        [PROGRAM, "-config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            server = Influx(f"http://127.0.0.1:{port}")
            deadline = time.monotonic() + 20
            while True:
                try:
                    if httpx.post(f"{server.url}/query", params={"q": "create database dts"}).status_code == 200:
                        break
                except httpx.HTTPError:
                    assert time.monotonic() < deadline, "InfluxDB did not start"
                    time.sleep(0.02)
            yield server
        finally:
            process.terminate()
