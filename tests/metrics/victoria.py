"""VictoriaMetrics as InfluxDB's stand-in: what is written is read back. Where it is not installed, tests skip."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.metrics.influxdb import InfluxAddress
from include.sandbox.ports import free_port

PROGRAM = shutil.which("victoria-metrics") or shutil.which("victoria-metrics-prod")
_markers = count(1)
WHY = "VictoriaMetrics is not installed (apt install victoria-metrics)"


@dataclass(frozen=True)
class Victoria:
    url: str
    folder: Path

    @property
    def address(self) -> InfluxAddress:
        return InfluxAddress(url=self.url, organization="ccat", bucket="dts", token="s3cret")

    def samples(self, match: str = '{__name__=~"dts_.*"}') -> list[tuple[dict[str, str], list[tuple[int, float]]]]:
        """Every series with its samples (milliseconds, value), oldest first."""
        self.await_all()
        answer = httpx.get(f"{self.url}/api/v1/export", params={"match[]": match, "reduce_mem_usage": "0"})
        answer.raise_for_status()
        found = [json.loads(line) for line in answer.text.splitlines()]
        return [
            (each["metric"], sorted(zip(each["timestamps"], each["values"], strict=True)))
            for each in sorted(found, key=lambda each: sorted(each["metric"].items()))
        ]

    def await_all(self) -> None:
        """What was written can be read a moment later: what is written now comes after it."""
        marker = f"marker_{next(_markers)}"
        httpx.post(f"{self.url}/api/v2/write", content=f"{marker} x=1 {time.time_ns()}").raise_for_status()
        deadline = time.monotonic() + 10
        while True:
            httpx.get(f"{self.url}/internal/force_flush").raise_for_status()
            if httpx.get(f"{self.url}/api/v1/export", params={"match[]": f"{marker}_x"}).text:
                return
            assert time.monotonic() < deadline, "VictoriaMetrics does not show what was written"

    def count(self, name: str) -> int:
        return sum(len(values) for _, values in self.samples(f'{{__name__="{name}"}}'))

    def query(self, query: str, *, at: float) -> list[dict[str, Any]]:
        """What it finds; nothing only after a while, for its index of a day that has just begun comes late."""
        deadline = time.monotonic() + 5
        while True:
            answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query, "time": str(at)})
            assert answer.status_code == 200, f"{query}: {answer.text}"
            found = list(answer.json()["data"]["result"])
            if found or time.monotonic() > deadline:
                return found
            httpx.get(f"{self.url}/internal/force_flush").raise_for_status()


@contextmanager
def victoria_running(folder: Path, *, port: int | None = None) -> Iterator[Victoria]:
    if PROGRAM is None:
        pytest.skip(WHY)
    port = port or free_port()
    command = [
        PROGRAM,
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={folder}",
        "-search.latencyOffset=0s",
        "-retentionPeriod=100y",
        "-dedup.minScrapeInterval=1ms",  # what is sent twice is one sample
        "-loggerLevel=ERROR",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            server = Victoria(f"http://127.0.0.1:{port}", folder)
            _await(server.url)
            yield server
        finally:
            process.terminate()


def _await(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            if httpx.get(f"{url}/health", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, "VictoriaMetrics did not start"
        time.sleep(0.02)
