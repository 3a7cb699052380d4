"""Bad filings through the real REST API: a clear verdict that names the culprit, and nothing is written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.end_to_end.observatory_up import Running

pytestmark = pytest.mark.timeout(600)  # the first test also starts the sandbox

WRITTEN = """
select (select count(*) from raw_data_file), (select count(*) from executed_obs_unit),
  (select count(*) from physical_copy where raw_data_file_id is not null)
"""


@pytest.fixture(scope="module")
def good(running: Running) -> dict[str, Any]:
    """A filing of two real files that would be accepted; the tests spoil it."""
    return running.conf(running.observe({"a b.g3": b"one", "ü.g3": b"two"}))


def first_file(conf: dict[str, Any], **changes: object) -> dict[str, Any]:
    return {**conf, "files": [{**conf["files"][0], **changes}, *conf["files"][1:]]}


def without_files(conf: dict[str, Any], **more: object) -> dict[str, Any]:
    return {key: value for key, value in conf.items() if key != "files"} | more


MANY = [{"path": f"f{number}.g3", "size_bytes": 1} for number in range(10_000)]

# What is wrong, how the good filing is spoiled, and a word that the verdict must contain.
BAD_FILINGS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "an unknown instrument": (lambda conf: {**conf, "instrument": "sofia"}, "sofia"),
    "an unknown module": (lambda conf: {**conf, "instrument_module": "mod999"}, "mod999"),
    "an unknown location": (lambda conf: {**conf, "data_location": "ccat_attic"}, "ccat_attic"),
    "an unknown key": (lambda conf: {**conf, "instrumnet": "primecam"}, "instrumnet"),
    "a path that climbs out": (lambda conf: first_file(conf, path="../outside.g3"), "../outside.g3"),
    "an absolute path": (lambda conf: first_file(conf, path="/etc/passwd"), "/etc/passwd"),
    "a link that leads out": (lambda conf: first_file(conf, path="a-link.g3"), "a-link.g3"),
    "a missing file": (lambda conf: first_file(conf, path="nowhere/missing.g3"), "nowhere/missing.g3"),
    "a wrong size": (lambda conf: first_file(conf, size_bytes=4711), "4711"),
    "no files": (lambda conf: {**conf, "files": []}, "file"),
    "neither files nor manifest": (without_files, "manifest"),
    "a manifest that is not there": (lambda conf: without_files(conf, manifest="filings/no.jsonl"), "filings/no.jsonl"),
    "ten thousand files inline": (lambda conf: {**conf, "files": MANY}, "manifest"),
    "a template": (lambda conf: {**conf, "instrument_module": "{{ conn.ops_db.password }}"}, "instrument_module"),
    "an account that may not": (lambda conf: {**conf, "instrument": "chai", "instrument_module": "lfa"}, "primecam"),
}


@dataclass(frozen=True)
class Answers:
    """What became of all bad filings, filed in one go, as many instruments may do."""

    states: dict[str, str]
    verdicts: dict[str, str]
    written_before: tuple[int, ...]
    written_after: tuple[int, ...]


@pytest.fixture(scope="module")
def answers(running: Running, good: dict[str, Any]) -> Answers:
    (running.source / "a-link.g3").symlink_to("/etc/passwd")
    before = tuple(running.query(WRITTEN)[0])
    runs = {
        name: running.trigger("registration", spoil({**good, "executed_obs_unit": str(uuid4())}), user="primecam")
        for name, (spoil, _) in BAD_FILINGS.items()
    }
    states = {name: running.await_run("registration", run_id) for name, run_id in runs.items()}
    verdicts = {name: running.verdict(run_id) for name, run_id in runs.items()}
    return Answers(states, verdicts, before, tuple(running.query(WRITTEN)[0]))


@pytest.mark.parametrize("name", BAD_FILINGS)
def test_a_bad_filing_is_refused_and_its_verdict_names_the_culprit(answers: Answers, name: str) -> None:
    assert answers.states[name] == "failed"
    assert BAD_FILINGS[name][1] in answers.verdicts[name]
    assert len(answers.verdicts[name]) < 1000


def test_bad_filings_write_nothing(answers: Answers) -> None:
    assert answers.written_after == answers.written_before


def test_malformed_json_is_refused_by_the_api(running: Running) -> None:
    with running.client("primecam") as client:
        answer = client.post(
            "/api/v2/dags/registration/dagRuns",
            content=b'{"logical_date": null, "conf": {"instrument": ',
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert "json" in answer.text.lower()


def test_the_same_run_again_means_already_received_and_a_contradiction_is_refused(
    running: Running, good: dict[str, Any]
) -> None:
    state, verdict = running.file_and_await(good)
    assert (state, verdict.split(":")[0].split()[0]) == ("success", "Accepted")
    run_id = running.scalar("select dag_run_id from filing where state = 'accepted' order by id desc limit 1")
    with running.client("primecam") as client:
        body = {"logical_date": None, "conf": good, "dag_run_id": run_id}
        assert client.post("/api/v2/dags/registration/dagRuns", json=body).status_code == httpx.codes.CONFLICT
    other = {**good, "instrument_module": "mod350"}
    before = tuple(running.query(WRITTEN)[0])
    state, verdict = running.file_and_await(other)
    assert state == "failed"
    assert "mod280" in verdict
    assert tuple(running.query(WRITTEN)[0]) == before
