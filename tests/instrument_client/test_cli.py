"""`dts-file`: what is typed, what is printed, how it ends. Each test runs main() as the entry point does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from include.instrument_client import Client, Settings
from include.instrument_client.cli import main
from tests.instrument_client.configured import config_of
from tests.instrument_client.conftest import Written
from tests.instrument_client.contract_server import ContractServer


class Typed:
    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = config
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: object) -> int:
        try:
            code = main(["--config", str(self.config), *map(str, arguments)])
        except SystemExit as end:
            code = int(str(end.code))
        self.out, self.err = self._capsys.readouterr()
        return code


@pytest.fixture
def typed(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(config_of(settings, tmp_path), capsys)


def test_files_and_folders_are_filed_and_finished(typed: Typed, server: ContractServer, write: Written) -> None:
    first, folder = write("a.g3"), write("folder/b.g3").parent
    write("folder/deeper/c.g3")
    assert typed("file", first, folder, "--finish") == 0, typed.err
    uuid = typed.out.strip()
    assert server.paths(uuid) == ["a.g3", "folder/b.g3", "folder/deeper/c.g3"]
    assert server.is_finished(uuid)


def test_an_observation_is_filed_in_parts(typed: Typed, server: ContractServer, write: Written) -> None:
    uuid = uuid4()
    assert typed("file", write("a.g3"), "--observation", uuid) == 1
    assert "--started-at" in typed.err
    began = "2026-04-01T03:20:00Z"
    assert typed("file", write("a.g3"), "--observation", uuid, "--started-at", began) == 0
    assert not server.is_finished(str(uuid))
    assert typed("file", write("b.g3"), "--observation", uuid, "--finish") == 0
    assert server.paths(str(uuid)) == ["a.g3", "b.g3"]
    assert server.is_finished(str(uuid))


def test_what_the_server_cannot_take_now_is_safe_in_the_spool(
    typed: Typed, server: ContractServer, write: Written
) -> None:
    server.token = "another"
    assert typed("file", write("a.g3"), "--finish", "--wait", "0.5") == 3
    uuid = typed.out.strip()
    assert "goes on sending" in typed.err
    assert typed("status") == 0
    assert "nobody sends. Start `dts-file send`." in typed.out
    assert "The token is not known." in typed.out
    assert f"{uuid}  primecam, started" in typed.out
    assert typed("send", "--once", "0.3") == 3
    server.token = "dts_secret"
    assert typed("send", "--once", "20") == 0
    assert server.paths(uuid) == ["a.g3"]
    assert typed("status") == 0
    assert "Nothing waits." in typed.out


def test_what_is_refused_is_shown_and_filed_again_once_mended(
    typed: Typed, server: ContractServer, write: Written
) -> None:
    server.judge = lambda filing: "a.g3 is empty." if filing.files[0]["size_bytes"] == 0 else None
    path = write("a.g3", b"")
    assert typed("file", path, "--finish") == 1
    uuid = typed.out.strip()
    assert "Refused: a.g3 is empty." in typed.err
    assert typed("status", "--json") == 0
    (waiting,) = json.loads(typed.out)["waiting"]
    assert waiting["refused"] == [
        {"module": "mod280", "files": 1, "sentence": "Refused: a.g3 is empty.", "paths": [str(path)]}
    ]
    assert typed("status") == 0
    assert f"`dts-file retry {uuid}`" in typed.out
    assert not server.is_finished(uuid)
    path.write_bytes(b"data")
    assert typed("retry", uuid) == 0
    assert typed("send", "--once", "20") == 0
    assert server.paths(uuid) == ["a.g3"]
    assert server.is_finished(uuid)
    assert typed("retry", uuid) == 1
    assert "Nothing of observation" in typed.err


def test_what_is_refused_unchanged_is_the_same_filing_again(
    typed: Typed, server: ContractServer, write: Written
) -> None:
    mended = False
    server.judge = lambda _: None if mended else "the disk is not mounted."
    assert typed("file", write("a.g3"), "--finish") == 1
    uuid = typed.out.strip()
    mended = True
    assert typed("retry", "--all") == 0
    assert typed("send", "--once", "20") == 0
    assert server.paths(uuid) == ["a.g3"]
    assert len(server.filings) == 1


def test_what_is_dropped_is_forgotten_and_the_observation_finishes(
    typed: Typed, server: ContractServer, write: Written
) -> None:
    server.judge = lambda filing: "it is bad." if filing.header["instrument_module"] == "bad" else None
    uuid, began = uuid4(), "2026-04-01T03:20:00Z"
    typed("file", write("good.g3"), "--observation", uuid, "--started-at", began)
    bad = write("bad.g3")
    assert typed("file", bad, "--observation", uuid, "--module", "bad", "--finish") == 1
    assert typed("drop", str(uuid)[-4:]) == 1, "a part of a UUID is none"
    assert typed("drop", uuid) == 0
    assert "1 files are dropped" in typed.out
    assert typed("send", "--once", "20") == 0
    assert server.paths(str(uuid)) == ["good.g3"]
    assert server.is_finished(str(uuid))
    assert bad.exists()


def test_an_observation_that_the_server_refuses_waits_for_a_person_as_a_whole(
    typed: Typed, server: ContractServer, write: Written
) -> None:
    uuid = uuid4()
    server.observations[str(uuid)] = {"instrument": "chai", "started_at": "2026-01-01T00:00:00+00:00"}
    began = "2026-04-01T03:20:00Z"
    assert typed("file", write("a.g3"), "--observation", uuid, "--started-at", began) == 1
    assert "The observation is refused" in typed.err
    assert typed("drop", uuid) == 0
    assert typed("status") == 0
    assert "Nothing waits." in typed.out


def test_a_file_that_changed_before_it_was_sent_is_set_aside_and_the_others_are_filed(
    typed: Typed, settings: Settings, server: ContractServer, write: Written
) -> None:
    client = Client(settings, sends=False)
    with client.observation() as observation:
        observation.add(write("good.g3"), write("grows.g3"), write("goes.g3"))
    write("grows.g3", b"data and more")
    (settings.root / "goes.g3").unlink()
    assert typed("send", "--once", "20") == 1
    assert server.paths(str(observation.uuid)) == ["good.g3"]
    assert typed("status") == 0
    assert "grows.g3 has 13 bytes and had 4 when it was added; goes.g3 cannot be read: No such file" in typed.out
    write("goes.g3")
    assert typed("retry", observation.uuid) == 0
    assert typed("send", "--once", "20") == 0
    assert sorted(server.paths(str(observation.uuid))) == ["goes.g3", "good.g3", "grows.g3"]


def test_checksums_are_computed_where_they_are_wanted(
    typed: Typed, settings: Settings, server: ContractServer, write: Written
) -> None:
    typed.config.write_text(typed.config.read_text() + "hashes = yes\nhash_mb_per_second = 10\n")
    began = time.monotonic()
    assert typed("file", write("a.g3", b"0" * 3_000_000), write("b.g3", b""), "--finish") == 0
    assert time.monotonic() - began > 0.25
    (filing,) = server.filings.values()
    from include.integrity.checksum import checksum_of

    assert [file["checksum"] for file in filing.files] == [checksum_of([b"0" * 3_000_000]), checksum_of([])]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["file"], 1, "Nothing to do"),
        (["file", "/nowhere.g3"], 1, "cannot be filed"),
        (["file", "/sys/module"], 1, "is not below"),
        (["file", "--finish", "--observation", "x", "--started-at", "2026-04-01T03:20:00Z"], 1, "no UUID"),
        (["file", "a", "--started-at", "2026-04-01"], 2, "has no zone"),
        (["file", "a", "--wait", "-1"], 2, "cannot be waited for"),
        (["retry"], 1, "--all"),
        (["drop", "x"], 1, "Nothing of observation x"),
        (["watch", "--layout", "hawc"], 2, "invalid choice"),
        ([], 2, "required"),
    ],
)
def test_what_is_typed_wrongly_is_told_and_changes_nothing(
    typed: Typed, settings: Settings, server: ContractServer, arguments: list[str], code: int, sentence: str
) -> None:
    assert typed(*arguments) == code
    assert sentence in typed.err
    assert not list(settings.spool.glob("observations/*"))
    assert server.requests == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace("[dts-file]", "[other]"), "no section"),
        (lambda text: text + "colour = red\n", "'colour' is unknown"),
        (lambda text: text + "bytes_max = many\n", "bytes_max = 'many' is wrong"),
        (lambda text: text.replace("spool =", "# spool ="), "spool is missing"),
        (lambda text: text.replace("http://127.0.0.1", "http://dts.example.org"), "unencrypted"),
        (lambda text: text.replace("http://", "ftp://"), "no address"),
        (lambda text: text.replace("/data\n", "/nowhere\n"), "is no folder"),
        (lambda text: text.replace("primecam", "prime cam"), "is no name"),
    ],
)
def test_wrong_settings_are_told_by_a_sentence(typed: Typed, write: Written, change, sentence: str) -> None:
    typed.config.write_text(change(typed.config.read_text()))
    assert typed("file", write("a.g3"), "--finish") == 1
    assert sentence in typed.err


@pytest.mark.parametrize("command", [["send"], ["watch", "--layout", "primecam", "--every", "0.05"]])
def test_what_runs_for_ever_ends_when_it_is_told_to(
    settings: Settings, server: ContractServer, write: Written, tmp_path: Path, command: list[str]
) -> None:
    with Client(settings, sends=False).observation() as observation:
        observation.add(write("a.g3"))
    arguments = [sys.executable, "-m", "include.instrument_client.cli", "--config", config_of(settings, tmp_path)]
    process = subprocess.Popen([*arguments, *command], cwd=Path(__file__).parents[2], env=dict(os.environ))
    try:
        while not server.is_finished(str(observation.uuid)):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
