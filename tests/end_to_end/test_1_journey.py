"""One observation from the instrument into both archives and back, through real workers, and gone where not needed."""

import json
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from include.integrity.checksum import checksum_of
from include.sandbox.demo.instrument import Observation, folder_originals, observe
from include.sandbox.demo.report import verify_staged
from tests.end_to_end.observatory_up import SOURCE, Running, now

pytestmark = pytest.mark.timeout(600)  # the first test also starts the sandbox

SAMPLE = Path(__file__).parents[2] / "include" / "sandbox" / "demo" / "observation" / "primecam"


@pytest.fixture(scope="module")
def observation(running: Running) -> Observation:
    """The bundled Prime-Cam observation, filed, and waited for until it is in both archives.

    The worker at the instrument is stopped once everything is packed: nothing is deleted there until a test wants it.
    """
    made = observe(running.source, instrument="primecam", module="mod280", originals=folder_originals(SAMPLE))
    running.file(made)
    packaged = "select count(packaged_at) from raw_data_package where executed_obs_unit_id = :id"
    running.until(lambda: running.scalar(packaged, id=made.id), what="packaging")
    running.stop_worker("ccat-instrument")
    running.until(lambda: running.archived_copies(made) == 2, what="two verified archive copies")
    return made


def test_it_arrives_in_both_archives_byte_for_byte(running: Running, observation: Observation) -> None:
    package = running.query("select * from raw_data_package where executed_obs_unit_id = :id", id=observation.id)[0]
    for store in running.sandbox.state.s3.values():
        client = boto3.client(
            "s3", endpoint_url=store.endpoint, aws_access_key_id=store.key, aws_secret_access_key=store.secret
        )
        body = client.get_object(Bucket=store.bucket, Key=package.path)["Body"]
        assert checksum_of(body.iter_chunks()) == package.checksum
        sidecar = client.get_object(Bucket=store.bucket, Key=package.path.removesuffix(".tar") + ".json")["Body"]
        described = json.loads(sidecar.read())
        assert {file.path for file in observation.files} == {
            member["path"] for member in described["manifest"]["members"]
        }


def test_it_leaves_the_observatory_once(running: Running, observation: Observation) -> None:
    origins = running.query(
        """
        select l.site from data_transfer t join data_location l on l.id = t.origin_location_id
        join data_transfer_package_member m using (data_transfer_package_id)
        join raw_data_package p on p.id = m.raw_data_package_id where p.executed_obs_unit_id = :id order by t.id
        """,
        id=observation.id,
    )
    assert [row.site for row in origins].count("ccat") == 1
    assert len(origins) == 2


def test_a_dry_run_of_deletion_says_what_would_go_and_nothing_goes(running: Running, observation: Observation) -> None:
    try:
        run_id = running.trigger("deletion", {"dry_run": True, "only_location": SOURCE})
        assert running.await_run("deletion", run_id) == "success"
        name = running.scalar("select name from raw_data_package where executed_obs_unit_id = :id", id=observation.id)
        sentences = running.xcom("deletion", run_id, task_id=f"at_{SOURCE}.plan", key="dry_run")
        assert [sentence.split(":")[0] for sentence in sentences if "would go" in sentence] == [name]
        assert all((running.source / file.path).exists() for file in observation.files)
        assert not running.scalar("select count(*) from operation where planned_run_id = :id", id=run_id)
    finally:
        running.sandbox.start_worker("ccat-instrument")


def test_it_comes_back_for_a_scientist_and_is_gone_from_sources_and_buffers(
    running: Running, observation: Observation
) -> None:
    names = [
        row.name
        for row in running.query("select name from raw_data_package where executed_obs_unit_id = :i", i=observation.id)
    ]
    until = (now() + timedelta(hours=1)).isoformat()
    conf = {"packages": names, "only_location": "cologne_processing", "until": until, "reason": "to look at it"}
    running.trigger("staging", conf)
    staged = """
        select count(*) from physical_copy c join raw_data_package p on p.id = c.raw_data_package_id
        where c.status = 'staged' and p.executed_obs_unit_id = :i
        """
    running.until(lambda: running.scalar(staged, i=observation.id) == len(names), what="staging")
    figures = verify_staged(running.folder("cologne_processing"), [observation])
    assert figures.verified == len(observation.files)
    left = """
        select count(*) from physical_copy c join data_location l on l.id = c.data_location_id
        left join raw_data_file f on f.id = c.raw_data_file_id
        left join raw_data_package p on p.id = c.raw_data_package_id
        where coalesce(f.executed_obs_unit_id, p.executed_obs_unit_id) = :i
          and l.location_type in ('source', 'buffer') and c.status <> 'deleted'
        """
    running.until(lambda: running.scalar(left, i=observation.id) == 0, what="deletion at sources and buffers")
    assert not [file.path for file in observation.files if (running.source / file.path).exists()]


def test_every_attempt_ran_on_a_worker_that_listens_to_its_queue(running: Running, observation: Observation) -> None:
    workers = running.sandbox.state.workers
    attempts = running.query(
        """
        select a.host, a.pid, a.worker_pid, a.queue, o.kind, l.full_name
        from operation_attempt a join operation o on o.id = a.operation_id
        join data_location l on l.id = o.data_location_id
        where a.outcome is distinct from 'reset'
        """
    )
    assert {row.kind for row in attempts} == {
        "registration", "packaging", "bundling", "transfer", "unpacking", "archiving", "staging", "deletion"
    }  # fmt: skip
    for row in attempts:
        worker = workers[row.host]
        assert row.queue == f"{row.full_name}_{row.kind}"
        assert row.queue in worker.queues
        assert row.worker_pid in running.worker_pids(row.host)
        assert row.pid not in running.worker_pids(row.host)


def test_every_deletion_has_its_evidence(running: Running, observation: Observation) -> None:
    records = running.query(
        """
        select r.evidence, l.location_type from deletion_record r
        join raw_data_package p on p.id = r.raw_data_package_id join data_location l on l.id = r.data_location_id
        where p.executed_obs_unit_id = :i
        """,
        i=observation.id,
    )
    assert {row.location_type for row in records} == {"source", "buffer"}
    for row in records:
        assert len({copy["site"] for copy in row.evidence}) == 2


def test_the_staging_job_is_extended_and_released_over_rest(running: Running, observation: Observation) -> None:
    """At the end: once it is released, what was staged goes at any moment."""
    job = running.scalar("select max(id) from staging_job")
    later = now() + timedelta(hours=9)
    happened = "select array_agg(format('%s by %s', event, person) order by id) from staging_job_event"
    extended = ["requested by operator", "extended by operator"]
    running.trigger("staging", {"extend": job, "until": later.isoformat(), "reason": "it is a large map"})
    running.until(lambda: running.scalar(happened) == extended, what="the extension")
    assert running.scalar("select until from staging_job where id = :id", id=job) == later
    running.trigger("staging", {"release": job})
    running.until(lambda: running.scalar(happened) == [*extended, "released by operator"], what="the release")
    assert running.scalar("select state from staging_job where id = :id", id=job) == "released"
