"""The brake in a real Airflow: what is too much at once waits for somebody's yes or no, in the UI or by `dts brake`."""

import os

import httpx
import pytest

from include.lifecycle.brake_answers import answer
from include.ops_db.states import BrakeAnswer
from include.sandbox.demo.instrument import Observation
from tests.end_to_end.conftest import BRAKE_BYTES
from tests.end_to_end.observatory_up import SOURCE, Running

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]  # the first test also starts the sandbox

DAG = "deletion_brake"
PENDING = """
    select b.id, b.question_run_id from deletion_brake b join data_location l on l.id = b.data_location_id
    where b.answer is null and l.full_name = :location
    """
ABOUT = """
    select b.id, b.answer, b.answered_by, b.reason, b.question_run_id from deletion_brake b
    join data_location l on l.id = b.data_location_id
    join deletion_brake_package m on m.deletion_brake_id = b.id
    join raw_data_package p on p.id = m.raw_data_package_id
    where p.executed_obs_unit_id = :observation and l.full_name = :location order by b.id
    """
STATES = """
    select distinct c.status from physical_copy c join data_location l on l.id = c.data_location_id
    left join raw_data_file f on f.id = c.raw_data_file_id left join raw_data_package p on p.id = c.raw_data_package_id
    where coalesce(f.executed_obs_unit_id, p.executed_obs_unit_id) = :observation and l.full_name = :location
    """


@pytest.fixture(scope="module")
def observation(running: Running) -> Observation:
    """An observation that is more than may go at once, in both archives."""
    made = running.observe({"large.g3": os.urandom(BRAKE_BYTES + 1000)})
    running.file(made)
    running.until(lambda: running.archived_copies(made) == 2, what="both archives")
    return made


def shown(running: Running, location: str) -> tuple[int, str, int] | None:
    """The question about a location that waits in Airflow now: its number, its run and its map index."""
    for row in running.query(PENDING, location=location):
        if row.question_run_id is not None:
            for instance in running.instances(DAG, row.question_run_id):
                if instance["state"] == "awaiting_input" and instance["rendered_map_index"].endswith(f" {row.id}"):
                    return row.id, row.question_run_id, instance["map_index"]
    return None


def await_question(running: Running, location: str) -> tuple[int, str, int]:
    running.await_run("deletion", running.trigger("deletion", {"only_location": location}))
    running.trigger(DAG, {})
    running.until(lambda: shown(running, location), what=f"a question about {location} in Airflow")
    found = shown(running, location)
    assert found is not None
    return found


def say(running: Running, question: tuple[int, str, int], option: str) -> None:
    """Answer through the REST endpoint that the UI uses."""
    number, run_id, map_index = question
    path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/ask/{map_index}/hitlDetails"
    with running.client("operator") as client:
        detail = client.get(path).raise_for_status().json()
        assert f"(question {number})" in detail["subject"]
        assert "| largest packages |" in detail["body"]
        said = client.patch(path, json={"chosen_options": [option], "params_input": {"reason": f"{option}d here"}})
    assert said.status_code == httpx.codes.OK, said.text


def await_success(running: Running, question: tuple[int, str, int]) -> None:
    """Its run may hold questions about other locations, which wait on."""
    _, run_id, map_index = question

    def state() -> str:
        instances = running.instances(DAG, run_id)
        return next(i["state"] for i in instances if i["task_id"] == "ask" and i["map_index"] == map_index)

    running.until(lambda: state() in {"success", "failed"}, what=f"the end of question {question}")
    if state() != "success":
        with running.client("operator") as client:
            path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/ask/logs/1"
            raise AssertionError(client.get(path, params={"map_index": map_index}).text[-4000:])


def about(running: Running, observation: Observation, location: str):
    return running.query(ABOUT, observation=observation.id, location=location)


def answer_until_it_is_about(running: Running, observation: Observation, location: str, option: str):
    """Other tests' packages may have been asked about first."""
    while not any(row.answer for row in about(running, observation, location)):
        question = await_question(running, location)
        say(running, question, option)
        running.until(
            lambda number=question[0]: running.scalar("select answer from deletion_brake where id = :id", id=number),
            what="the answer in ops-db",
        )
        await_success(running, question)
    return about(running, observation, location)[-1]


def test_a_yes_in_airflow_lets_it_go(running: Running, observation: Observation) -> None:
    file = running.source / observation.files[0].path
    assert file.exists()
    row = answer_until_it_is_about(running, observation, SOURCE, "Approve")
    assert (row.answer, row.answered_by, row.reason) == ("approved", "operator", "Approved here")
    running.trigger("deletion", {"only_location": SOURCE})
    running.until(lambda: not file.exists(), what="the deletion that was approved")


def test_a_no_in_airflow_keeps_it(running: Running, observation: Observation) -> None:
    row = answer_until_it_is_about(running, observation, "ccat_buffer", "Reject")
    assert (row.answer, row.answered_by) == ("refused", "operator")
    run_id = running.trigger("deletion", {"only_location": "ccat_buffer"})
    assert running.await_run("deletion", run_id) == "success"
    states = running.query(STATES, observation=observation.id, location="ccat_buffer")
    assert [state.status for state in states] == ["present"]


def test_an_answer_on_the_command_line_ends_the_wait_in_airflow(running: Running, observation: Observation) -> None:
    """At the next tick of the clock."""
    question = await_question(running, "cologne_buffer")
    number, run_id, map_index = question
    with running.engine.begin() as connection:
        answer(connection, number, BrakeAnswer.REFUSED, person="jane", reason="later")
    await_success(running, question)
    path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances/ask/{map_index}/hitlDetails"
    with running.client("operator") as client:
        assert not client.get(path).raise_for_status().json()["response_received"]
