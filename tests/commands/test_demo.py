"""`make demo` as a user types it, on a folder of odd files: its report against what really lies on the disk."""

import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from include.sandbox.layout import CLONE, Layout
from include.sandbox.ports import free_port
from include.sandbox.state import State
from include.storage.mark import MARK
from tests.commands.survivors import daemons_of, survivors

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

ODD = {
    "a file.dat": b"with a space",
    "-rf": b"leading dash",
    "tief/täler/über.g3": "ünïcode".encode(),
    "empty": b"",
    "/".join(f"level{number}" for number in range(40)) + "/deep.bin": b"deep",
    "percent%20+plus.fits": b"%",
    "x" * 200: b"long name",
    "big.bin": bytes(range(256)) * 40_000,
}
SMALL = {f"many/{number:04}.g3": f"file {number}".encode() for number in range(600)}  # more than fit in a filing
FILES = ODD | SMALL


@dataclass(frozen=True)
class Ran:
    """A demo that has ended."""

    exit_code: int
    output: str
    report: dict[str, Any]
    daemons: frozenset[int]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("demo")
    for path, content in FILES.items():
        target = folder / "my data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    report = folder / "report.json"
    log = folder / "output"
    command = ["make", "-C", str(CLONE), "demo", f"DATA={folder / 'my data'}", f"REPORT={report}"]
    environment = {**os.environ, "DTS_SANDBOX_PORT_UI": str(free_port())}
    daemons: frozenset[int] = frozenset()
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        while process.poll() is None:
            daemons |= seen_daemons()
            time.sleep(0.2)
    content = json.loads(report.read_text()) if report.exists() else {}
    return Ran(process.returncode, log.read_text(), content, daemons)


def seen_daemons() -> frozenset[int]:
    path = Layout.of().state
    return daemons_of(State.read(path)) if path.exists() else frozenset()


def test_it_comes_to_its_end_and_says_so(ran: Ran) -> None:
    assert ran.exit_code == 0, ran.output[-3000:]
    assert f"{len(FILES)} of {len(FILES)} files came back" in ran.output


def test_nothing_that_it_started_survives_it(ran: Ran) -> None:
    assert len(ran.daemons) >= 12, "servers, Airflow's components and workers were seen while it ran"
    assert survivors(ran.daemons) == []
    assert not Layout.of().state.exists()


def test_the_report_has_the_promised_form(ran: Ran) -> None:
    assert {
        "seconds_setup",
        "seconds_start",
        "seconds_pipeline",
        "files",
        "bytes",
        "stages",
        "copies",
        "archives",
    } <= set(ran.report)
    assert (ran.report["files"], ran.report["bytes"]) == (len(FILES), sum(map(len, FILES.values())))
    assert all(set(stage) == {"operations", "bytes", "seconds"} for stage in ran.report["stages"].values())
    assert all(set(copies) == {"present", "deleted"} for copies in ran.report["copies"].values())
    assert set(ran.report["staged"]) == {"files", "bytes", "verified"}


def test_what_was_staged_is_what_was_sent(ran: Ran) -> None:
    assert ran.report["staged"]["files"] == ran.report["staged"]["verified"] == len(FILES)
    assert files_below(Path(ran.report["locations"]["cologne_processing"]), strip=2) == FILES


def test_both_archives_hold_what_the_report_says(ran: Ran) -> None:
    packed = [dict(members_below(archive)) for archive in archive_folders()]
    assert packed == [FILES, FILES]
    for archive, folder in zip(("cologne_archive", "us_archive"), archive_folders(), strict=True):
        tars = list(folder.rglob("*.tar"))
        figures = ran.report["archives"][archive]
        assert figures["packages"] == figures["verified"] == len(tars)
        assert figures["bytes"] == sum(tar.stat().st_size for tar in tars)


def test_sources_and_buffers_are_empty_afterwards(ran: Ran) -> None:
    for location in ("ccat_buffer", "cologne_buffer", "us_buffer"):
        assert files_below(Path(ran.report["locations"][location]), strip=0) == {}
        assert ran.report["copies"][location]["present"] == 0
    left = files_below(Path(ran.report["locations"]["ccat_source"]), strip=0)
    assert [path.split("/")[0] for path in left] == ["filings"], "the manifest is the instrument's"


def files_below(folder: Path, *, strip: int) -> dict[str, bytes]:
    """Return the content of every file, by its path without the first `strip` folders."""
    files = (path for path in folder.rglob("*") if path.is_file() and path != folder / MARK)
    return {"/".join(path.relative_to(folder).parts[strip:]): path.read_bytes() for path in files}


def archive_folders() -> list[Path]:
    """Return where the two S3 servers keep their buckets."""
    sites = Layout.of().sites
    return [next(path for path in sites.rglob(f"{site}-archive") if path.is_dir()) for site in ("cologne", "us")]


def members_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    for package in folder.rglob("*.tar"):
        with tarfile.open(package) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                yield member.name, content.read()
