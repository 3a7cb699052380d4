"""A refused filing is told of until the same files are accepted, or a person has seen it; by the real registration."""

import io
import json
from typing import Any

import pytest
from sqlalchemy import text

from include.notifications import ledger
from include.notifications.refused import RefusedFiling, refused_filings
from include.ops_db.states import FilingState
from include.registration.receive import Sent, receive
from tests.notifications.known import judged
from tests.observatory import Observatory, new_observation
from tests.registration.filings import STAGE, file_it, filing_of, run_id, write_manifest

FILES = {"1/a.g3": b"a", "1/b.g3": b"bb"}


@pytest.fixture
def filed(observatory: Observatory) -> Observatory:
    observatory.put_files(FILES)
    return observatory


def refused(observatory: Observatory) -> list[RefusedFiling]:
    with observatory.engine.connect() as connection:
        return list(refused_filings(connection, days=1))


def accept(observatory: Observatory, conf: object) -> None:
    verdict = file_it(observatory, conf)
    assert verdict.state is FilingState.ACCEPTED, verdict.sentence


def stream(observatory: Observatory, files: dict[str, bytes], **changes: Any) -> None:
    """File as the API does: a head, and a line for each file."""
    lines = "".join(json.dumps({"path": path, "size_bytes": len(content)}) + "\n" for path, content in files.items())
    key = run_id()
    receive(
        observatory.engine,
        topology=observatory.topology,
        dag_run_id=key,
        conf=filing_of(**changes),
        received_from="primecam",
        sent=Sent(content_sha256=key, lines=io.BytesIO(lines.encode())),
    )
    observatory.run(STAGE, "ccat_source")


def test_a_refused_filing_is_told_of_with_its_verdict_and_how_to_correct_it(filed: Observatory) -> None:
    observation = new_observation()
    file_it(filed, filing_of(FILES | {"1/missing.g3": b""}, executed_obs_unit=str(observation)))
    (found,) = refused(filed)
    assert found.verdict.startswith("Refused: ")
    assert (found.executed_obs_unit_id, found.received_from) == (observation, "primecam")
    assert (found.location, found.site, found.key) == ("ccat_source", "ccat", f"filing_refused:{found.id}")
    assert found.how_to_correct.endswith(f"`dts alarms acknowledge filing_refused:{found.id}`.")


def test_it_ends_when_the_same_files_are_accepted_be_it_in_parts(filed: Observatory) -> None:
    observation = str(new_observation())
    more = FILES | {"1/late.g3": b"late"}
    file_it(filed, filing_of(more, executed_obs_unit=observation))
    accept(filed, filing_of(FILES, executed_obs_unit=observation))
    assert len(refused(filed)) == 1
    filed.put_files({"1/late.g3": b"late"})
    accept(filed, filing_of({"1/late.g3": b"late"}, executed_obs_unit=observation))
    assert refused(filed) == []


def test_the_same_paths_of_another_observation_do_not_end_it(filed: Observatory) -> None:
    file_it(filed, filing_of({"1/a.g3": b"wrong size"}))
    accept(filed, filing_of(FILES))
    assert len(refused(filed)) == 1


def test_a_filing_that_was_accepted_before_does_not_end_it(filed: Observatory) -> None:
    observation = str(new_observation())
    accept(filed, filing_of(FILES, executed_obs_unit=observation))
    file_it(filed, filing_of({"1/a.g3": b"wrong size"}, executed_obs_unit=observation))
    assert len(refused(filed)) == 1
    accept(filed, filing_of(FILES, executed_obs_unit=observation))
    assert refused(filed) == []


def test_one_by_manifest_ends_with_the_same_manifest(filed: Observatory) -> None:
    observation = str(new_observation())
    bad = [{"path": "1/a.g3", "size_bytes": 99}]
    write_manifest(filed, "1/manifest.jsonl", bad)
    file_it(filed, filing_of(manifest="1/manifest.jsonl", executed_obs_unit=observation))
    accept(filed, filing_of({"1/b.g3": b"bb"}, executed_obs_unit=observation))
    assert len(refused(filed)) == 1
    write_manifest(filed, "1/manifest.jsonl", [{"path": "1/a.g3", "size_bytes": 1}])
    accept(filed, filing_of(manifest="1/manifest.jsonl", executed_obs_unit=observation))
    assert refused(filed) == []


def test_a_stream_ends_with_a_stream_of_the_same_files(filed: Observatory) -> None:
    observation = str(new_observation())
    more = FILES | {"1/late.g3": b"late"}
    stream(filed, more, executed_obs_unit=observation)
    stream(filed, FILES, executed_obs_unit=observation)
    assert len(refused(filed)) == 1
    filed.put_files({"1/late.g3": b"late"})
    stream(filed, {"1/late.g3": b"late"}, executed_obs_unit=observation)
    assert refused(filed) == []


def test_what_was_refused_for_its_form_waits_for_a_person_or_the_same_key(filed: Observatory) -> None:
    observation, key = str(new_observation()), run_id()
    conf = filing_of(FILES, executed_obs_unit=observation)
    file_it(filed, conf | {"instrument_module": "mod999"}, run=key)
    accept(filed, conf)
    assert len(refused(filed)) == 1
    file_it(filed, conf, run=key)
    assert refused(filed) == []


def test_what_is_refused_again_after_a_person_has_seen_it_is_told_of_again(filed: Observatory) -> None:
    key = run_id()
    file_it(filed, [1], run=key)
    (found,) = refused(filed)
    with filed.engine.begin() as connection:
        now = connection.execute(text("select now()")).scalar_one()
        ledger.record(connection, [judged(found.key)], now=now)
        ledger.acknowledge(connection, [found.key], person="jane", reason="")
    assert refused(filed) == []
    file_it(filed, [1], run=key)
    assert len(refused(filed)) == 1


@pytest.mark.parametrize("conf", [[1, 2], {"files": "all"}, {"files": [1, {"path": None}]}, {"executed_obs_unit": "x"}])
def test_nonsense_is_told_of_too(filed: Observatory, conf: object) -> None:
    file_it(filed, conf)
    accept(filed, filing_of(FILES))
    assert len(refused(filed)) == 1


def test_what_was_refused_long_ago_is_not_told_of(filed: Observatory) -> None:
    file_it(filed, [1])
    with filed.engine.begin() as connection:
        connection.execute(text("update filing set received_at = now() - interval '25 hours'"))
    assert refused(filed) == []
