"""A filing through the registration DAG (Airflow's REST) and one through the API: the same row, the same verdict."""

import json
from uuid import UUID

import httpx
import pytest

from include.registration.receive import OtherContentError
from tests.api.conftest import Api
from tests.registration.bad_confs import BAD_SHAPES, GOOD, STRANGERS
from tests.registration.filings import STAGE, file_it, inline, operation_count, run_id, send, written

WHERE = f"/api/v1/observations/{GOOD['executed_obs_unit']}/files"
BODY = {key: value for key, value in GOOD.items() if key != "executed_obs_unit"}


async def file_under(client: httpx.AsyncClient, key: str, body: dict = BODY) -> httpx.Response:
    return await client.post(
        WHERE, content=json.dumps(body), headers={"Idempotency-Key": key, "Content-Type": "application/json"}
    )


async def test_the_key_of_a_run_is_the_filing_of_that_run(api: Api, primecam: httpx.AsyncClient) -> None:
    first = send(api.observatory, GOOD, run="a-run")
    again = await file_under(primecam, "a-run")
    assert (again.status_code, again.json()["id"]) == (200, first.filing_id)
    assert operation_count(api.observatory) == 1
    assert (await file_under(primecam, "a-run", BODY | {"files": inline({"b": b""})})).status_code == 409


async def test_the_run_of_a_key_is_the_filing_of_that_key(api: Api, primecam: httpx.AsyncClient) -> None:
    first = (await file_under(primecam, "a-key")).json()
    again = send(api.observatory, GOOD, run="a-key")
    assert (again.filing_id, again.is_new) == (first["id"], False)
    with pytest.raises(OtherContentError):
        send(api.observatory, GOOD | {"started_at": "2026-04-01T03:20:01Z"}, run="a-key")
    assert operation_count(api.observatory) == 1


async def test_what_one_way_has_accepted_is_known_to_the_other(api: Api, primecam: httpx.AsyncClient) -> None:
    api.observatory.put_files({"a.g3": b"a"})
    first = await file_under(primecam, "first")
    api.observatory.run(STAGE, "ccat_source")
    by_run = file_it(api.observatory, GOOD)
    second = await file_under(primecam, "second")
    api.observatory.run(STAGE, "ccat_source")
    filing = (await primecam.get(f"/api/v1/filings/{second.json()['id']}")).json()
    assert filing["verdict"] == by_run.sentence
    assert "were known before; it changes nothing." in filing["verdict"]
    assert first.json()["id"] != second.json()["id"]
    assert written(api.observatory).files == 1


async def test_whatever_is_refused_is_refused_with_the_same_sentence(api: Api, primecam: httpx.AsyncClient) -> None:
    compared = 0
    for name, (conf, _) in (BAD_SHAPES | STRANGERS).items():
        try:
            if not isinstance(conf, dict) or str(UUID(str(conf["executed_obs_unit"]))) != GOOD["executed_obs_unit"]:
                continue
            body = json.dumps({key: value for key, value in conf.items() if key != "executed_obs_unit"})
        except (KeyError, ValueError):
            continue  # the address names the observation, and JSON no number of thousands of digits
        by_run = send(api.observatory, conf, run=run_id())
        answer = await file_under(primecam, f"k{compared}", json.loads(body))
        compared += 1
        if name == "an instrument of others":
            assert answer.status_code == 403
            continue
        assert answer.status_code == 422, name
        assert f"Refused: {answer.json()['detail']}" == by_run.verdict, name
    assert compared > 50
    assert written(api.observatory).files == 0
    assert operation_count(api.observatory) == 0


async def test_the_source_host_says_the_same_of_both(api: Api, primecam: httpx.AsyncClient) -> None:
    api.observatory.put_files({"small.g3": b"1"})
    for number, files in enumerate(({"gone.g3": b"1"}, {"small.g3": b"22"})):
        by_run = file_it(api.observatory, GOOD | {"files": inline(files)})
        filing = (await file_under(primecam, f"source-{number}", BODY | {"files": inline(files)})).json()
        api.observatory.run(STAGE, "ccat_source")
        found = (await primecam.get(f"/api/v1/filings/{filing['id']}")).json()
        assert (found["state"], found["verdict"]) == ("refused", by_run.sentence)
