"""What is read from ops-db for the rules: on rows as the stages leave them, and in bounded time."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from include.alarm_rules import AlarmRules, Severity
from include.notifications.judge import judge
from include.notifications.observe import observe
from include.notifications.observed import LaneSeen, Observed
from include.ops_db.measurements import Seen, record
from include.ops_db.states import CopyStatus
from include.topology import OperationKind
from tests.lifecycle.archived import Archived, archived_package
from tests.observatory import Observatory, now
from tests.operations.laboratory import PLACE, FakeStage, Laboratory
from tests.stages.filed import file_observation

LANE = f"{PLACE}_archiving"


@pytest.fixture
def lab(observatory: Observatory) -> Laboratory:
    return Laboratory(observatory, FakeStage())


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def look(observatory: Observatory) -> Observed:
    with observatory.engine.begin() as connection:
        return observe(connection, topology=observatory.topology, listening=None)


def lane(lab: Laboratory) -> LaneSeen:
    (found,) = [each for each in look(lab.observatory).lanes if each.name == LANE]
    return found


def rules(observatory: Observatory) -> list[str]:
    return [alarm.rule for alarm in judge(look(observatory), topology=observatory.topology)]


def hours_ago(hours: float) -> datetime:
    return now() - timedelta(hours=hours)


def is_stalled(lab: Laboratory) -> bool:
    return "lane_stalled" in rules(lab.observatory)


def test_a_new_observatory_has_no_alarms(observatory: Observatory) -> None:
    seen = look(observatory)
    assert len(seen.lanes) == 22
    assert rules(observatory) == []


def test_a_lane_is_seen_by_its_oldest_work(lab: Laboratory) -> None:
    first, *_ = lab.operations(3)
    lab.change(first, created_at=hours_ago(3))
    seen = lane(lab)
    assert (seen.due, seen.failed, seen.is_at_work, seen.completed_at) == (3, 0, False, None)
    assert seen.why == f"operation {first}: It is new."
    assert is_stalled(lab)


def test_a_lane_that_completed_something_lately_or_is_at_work_is_not_stalled(lab: Laboratory) -> None:
    first, second = lab.operations(2)
    lab.change(first, created_at=hours_ago(9))
    lab.change(second, created_at=hours_ago(9))
    assert is_stalled(lab)
    lease = lab.taken(first)
    assert not is_stalled(lab)
    lab.expire(lease.operation_id)
    assert is_stalled(lab)
    lab.change(first, status="completed", finished_at=hours_ago(1))
    assert not is_stalled(lab)
    lab.change(first, finished_at=hours_ago(2.1))
    assert is_stalled(lab)


def test_what_was_handed_back_in_the_middle_shows_that_somebody_is_at_it(lab: Laboratory) -> None:
    (first,) = lab.operations(1)
    lab.change(first, created_at=hours_ago(9), scheduled_at=hours_ago(0.5))
    assert not is_stalled(lab)
    lab.change(first, failure_count=1)
    assert is_stalled(lab)


def test_what_waits_for_its_time_is_no_backlog_of_the_lane(lab: Laboratory) -> None:
    (first,) = lab.operations(1)
    lab.change(first, created_at=hours_ago(9), not_before=now() + timedelta(minutes=5))
    assert not is_stalled(lab)


def test_failed_operations_and_a_plan_that_found_nobody_are_seen(lab: Laboratory) -> None:
    first, _ = lab.operations(2)
    lab.change(first, status="failed", explanation="It is broken.")
    lab.plan(is_listened_to=lambda: False)
    seen = lane(lab)
    assert (seen.failed, seen.failed_why, seen.nobody) == (1, f"operation {first}: It is broken.", True)
    assert set(rules(lab.observatory)) == {"work_failed", "worker_missing"}


def test_what_was_filed_and_not_packaged_is_a_backlog_too(observatory: Observatory) -> None:
    """Also with packaging paused, when there is neither a package nor an operation that could be late."""
    file_observation(observatory, {"1/a.g3": b"a"})
    assert rules(observatory) == []
    with observatory.engine.begin() as connection:
        connection.execute(text("update raw_data_file set filed_at = now() - interval '25 hours'"))
    assert rules(observatory) == ["backlog"]


def test_an_archived_package_is_no_backlog_and_one_that_is_not_is(observatory: Observatory, package: Archived) -> None:
    package.change(created_at=hours_ago(30))
    assert rules(observatory) == []
    package.change(archived_at=None, state="transferring", raw_files_gone_at=None)
    assert rules(observatory) == ["backlog"]
    (source,) = look(observatory).sources
    assert (source.location, source.packages) == ("ccat_source", 1)


def test_bad_copies_are_seen_by_location(observatory: Observatory, package: Archived) -> None:
    package.change_copy("us_archive", status=CopyStatus.CORRUPT)
    package.change_copy("us_buffer", status=CopyStatus.MISSING)
    found = {alarm.key: alarm for alarm in judge(look(observatory), topology=observatory.topology)}
    assert found["corrupt_copy:us_archive"].severity is Severity.CRITICAL
    assert f"{package.name} (missing)" in found["corrupt_copy:us_buffer"].sentence


def test_a_failed_staging_of_an_active_job_is_seen(observatory: Observatory, package: Archived) -> None:
    job = package.staging_job(until=now() + timedelta(days=1))
    add_failed(observatory, package, OperationKind.STAGING, "cologne_processing")
    (found,) = look(observatory).stagings
    assert (found.id, found.failed, found.location) == (job, 1, "cologne_processing")
    with observatory.engine.begin() as connection:
        connection.execute(text("update staging_job set state = 'released'"))
    assert look(observatory).stagings == []


def add_failed(observatory: Observatory, package: Archived, kind: OperationKind, location: str) -> None:
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                "insert into operation (kind, data_location_id, raw_data_package_id, status, explanation)"
                " select :kind, id, :package, 'failed', 'It failed.' from data_location where full_name = :location"
            ),
            {"kind": kind, "package": package.id, "location": location},
        )


def failing_transfer(observatory: Observatory) -> None:
    """The transfer from ccat to Cologne fails once, and one from Cologne to Ithaca has got through."""
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                """
                insert into operation (kind, data_location_id, data_transfer_id, status, explanation, failure_count)
                select 'transfer', destination_location_id, t.id, 'pending', 'The link is away.', 1
                from data_transfer t join data_location l on l.id = origin_location_id where l.full_name = 'ccat_buffer'
                """
            )
        )


def test_a_link_is_down_if_nothing_got_through_of_late(observatory: Observatory, package: Archived) -> None:
    failing_transfer(observatory)
    (cut,) = look(observatory).cuts
    assert (cut.site, cut.destination) == ("ccat", "cologne_buffer")
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                """
                insert into operation (kind, data_location_id, data_transfer_id, status, explanation, finished_at)
                select kind, data_location_id, data_transfer_id, 'completed', 'It got through.', now() from operation
                """
            )
        )
    assert look(observatory).cuts == []


def test_a_host_tells_its_clock_with_what_it_measures(
    observatory: Observatory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(seconds=40)

    def measure(full_name: str, host: str) -> None:
        with observatory.engine.begin() as connection:
            assert record(connection, Seen(total_bytes=10, used_bytes=1), full_name=full_name, host=host) is not None

    measure("us_buffer", "us")
    monkeypatch.setattr("include.ops_db.measurements.datetime", Late)
    measure("cologne_buffer", "cologne")
    clocks = look(observatory).clocks_ahead
    assert abs(clocks["us"]) < 5
    assert -45 < clocks["cologne"] < -35
    assert rules(observatory) == ["clock_off"]


def test_a_question_of_the_brake_is_seen(observatory: Observatory) -> None:
    with observatory.engine.begin() as connection:
        connection.execute(
            text(
                """
                insert into deletion_brake (data_location_id, requested_by, topology_version_id, policy_sha256,
                  package_count, copy_count, size_bytes, why)
                select l.id, 'policy', t.id, '', 1, 1, 1, 'Too much would go.' from data_location l, topology_version t
                where l.full_name = 'ccat_buffer'
                """
            )
        )
    assert rules(observatory) == ["brake_waiting"]


def test_a_rule_that_is_off_says_nothing(observatory: Observatory, package: Archived) -> None:
    package.change_copy("us_archive", status=CopyStatus.CORRUPT)
    off = AlarmRules.model_validate({"corrupt_copy": {"enabled": False}})
    topology = observatory.topology.model_copy(update={"alarms": off})
    assert judge(look(observatory), topology=topology) == []


@pytest.mark.slow
def test_a_hundred_thousand_operations_are_looked_at_in_a_moment(lab: Laboratory) -> None:
    """The head of each lane is enough; a minute's round may not read what waits behind it."""
    (package_id,) = lab.packages(1)
    with lab.engine.begin() as connection:
        connection.execute(text("set local statement_timeout = 0"))
        connection.execute(
            text(
                """
                insert into raw_data_package (name, executed_obs_unit_id, instrument_module_id, source_location_id,
                  number, path, file_count, content_bytes)
                select name || n, executed_obs_unit_id, instrument_module_id, source_location_id, n, path, 1, 1
                from raw_data_package, generate_series(1, 50000) n where id = :package
                """
            ),
            {"package": package_id},
        )
        connection.execute(
            text(
                """
                insert into operation (kind, data_location_id, raw_data_package_id, status, explanation, finished_at)
                select 'archiving', l.id, p.id, status, 'It is new.', case when status = 'completed' then now() end
                from raw_data_package p, data_location l, unnest(array['pending', 'completed']) as status
                where l.full_name = :place
                """
            ),
            {"place": PLACE},
        )
        connection.execute(text("analyze operation"))
        connection.execute(text("analyze raw_data_package"))
    began = now()
    seen = lane(lab)
    assert (now() - began).total_seconds() < 2
    assert seen.due == 1000
    assert seen.completed_at is not None
