"""Each rule: when it holds, what it says, how urgent it is, and of which outage it is a part."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from include.alarm_rules import AlarmRules, Severity
from include.health.heartbeat import Heartbeat
from include.lanes import lanes_of_host
from include.lifecycle.alarms import Cut
from include.notifications.alarm import Judged
from include.notifications.judge import judge
from include.notifications.observed import (
    BadCopies,
    BrakeSeen,
    ChannelSeen,
    LaneSeen,
    Observed,
    SourceSeen,
    StagingSeen,
)
from include.notifications.refused import RefusedFiling
from include.ops_db.states import Condition
from include.topology import load_topology
from tests.lifecycle.known import NOW, known
from tests.observatory import SANDBOX

TOPOLOGY = load_topology(SANDBOX)
CUT = Cut(site="ccat", operation_id=12, destination="cologne_buffer")
EVERYBODY = {host.name: frozenset(lane.name for lane in lanes_of_host(TOPOLOGY, host.name)) for host in TOPOLOGY.hosts}


def hours_ago(hours: float):
    return NOW - timedelta(hours=hours)


def holds(*, rules: dict[str, Any] | None = None, **seen: Any) -> list[Judged]:
    topology = TOPOLOGY.model_copy(update={"alarms": AlarmRules.model_validate(rules or {})})
    return judge(Observed(**({"now": NOW, "listening": EVERYBODY} | seen)), topology=topology)


def one(**seen: Any) -> Judged:
    (found,) = holds(**seen)
    return found


def lane(**changes: Any) -> LaneSeen:
    values = {"kind": "archiving", "location": "us_archive", "site": "us", "due": 3, "oldest_at": hours_ago(3)}
    return LaneSeen(**(values | {"why": "operation 7: It waits for its turn."} | changes))


def test_an_observatory_that_is_well_has_no_alarms() -> None:
    busy = lane(completed_at=hours_ago(0.1))
    fresh = SourceSeen(location="ccat_source", site="ccat", packages=3, size_bytes=9, oldest_at=hours_ago(2))
    assert holds(places={"ccat_buffer": known("ccat_buffer")}, lanes=[busy], sources=[fresh]) == []


def test_a_lane_that_completes_nothing_while_work_waits_is_stalled() -> None:
    found = one(lanes=[lane(completed_at=hours_ago(2.5))])
    assert found.key == "lane_stalled:us_archive_archiving"
    assert found.sentence == (
        "archiving at us_archive does not move: its oldest work has waited for 3 hours, and nothing was completed there"
        " since 2026-04-01 09:30:00 UTC. operation 7: It waits for its turn."
    )
    assert "there ever" in one(lanes=[lane()]).sentence


@pytest.mark.parametrize("well", [{"is_at_work": True}, {"completed_at": hours_ago(1)}, {"oldest_at": hours_ago(1)}])
def test_a_lane_at_work_is_not_stalled(well: dict[str, Any]) -> None:
    assert holds(lanes=[lane(**well)]) == []


def test_how_long_a_lane_may_stand_still_and_how_urgent_that_is_are_rules() -> None:
    assert holds(lanes=[lane()], rules={"lane_stalled": {"hours": 4}}) == []
    assert holds(lanes=[lane()], rules={"lane_stalled": {"enabled": False}}) == []
    assert one(lanes=[lane()], rules={"lane_stalled": {"severity": "critical"}}).severity is Severity.CRITICAL


def test_failed_operations_of_a_lane_are_one_alarm() -> None:
    found = one(lanes=[lane(oldest_at=None, due=0, failed=4, failed_why="operation 9: The bucket is gone.")])
    assert (found.key, found.site) == ("work_failed:us_archive_archiving", "us")
    assert found.sentence == (
        "archiving at us_archive: operation 9: The bucket is gone. 3 more operations failed there, too."
    )


def test_what_waits_for_a_day_for_its_first_archive_is_a_backlog() -> None:
    source = SourceSeen(location="ccat_source", site="ccat", packages=3, size_bytes=10**12, oldest_at=hours_ago(30))
    found = one(sources=[source])
    assert found.sentence == (
        "What was filed at ccat_source has waited for 30 hours to reach a first archive: 3 packages with 1.0 TB are on"
        " their way."
    )
    assert found.outage == "ccat"


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        ("ccat_source", "source_hours_left"),
        ("ccat_buffer", "buffer_hours_left"),
        ("us_archive", "location_hours_left"),
        ("cologne_processing", "location_hours_left"),
    ],
)
def test_a_location_that_fills_is_told_of_by_the_rule_of_its_type(location: str, rule: str) -> None:
    found = one(places={location: known(location, in_rate=3, out_rate=0.5)})
    assert (found.rule, found.severity) == (rule, Severity.WARNING)
    assert "in 40 hours" in found.sentence
    assert holds(places={location: known(location, in_rate=3, out_rate=0.5)}, rules={rule: {"hours": 39}}) == []


def test_the_last_hours_of_a_buffer_are_critical() -> None:
    assert one(places={"ccat_buffer": known("ccat_buffer", in_rate=10)}).severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("condition", "severity"),
    [
        (Condition.PRESSED, Severity.INFO),
        (Condition.FULL, Severity.WARNING),
        (Condition.READ_ONLY, Severity.CRITICAL),
        (Condition.GONE, Severity.CRITICAL),
    ],
)
def test_an_unwell_location_is_as_urgent_as_its_condition(condition: Condition, severity: Severity) -> None:
    found = one(places={"us_buffer": known("us_buffer", condition=condition, why="It is so.")})
    assert (found.rule, found.severity) == ("location_unwell", severity)


def test_a_location_that_nobody_looks_at_is_told_of() -> None:
    assert one(places={"us_buffer": known("us_buffer", seen_hours_ago=1)}).rule == "location_silent"


def test_behind_a_cut_link_all_is_one_outage() -> None:
    found = holds(
        cuts=[CUT],
        places={"ccat_source": known("ccat_source", in_rate=5), "ccat_buffer": known("ccat_buffer", in_rate=3)},
        sources=[SourceSeen(location="ccat_source", site="ccat", packages=1, size_bytes=1, oldest_at=hours_ago(30))],
        lanes=[lane(kind="transfer", location="cologne_buffer", site="cologne")],
    )
    assert {each.outage for each in found} == {"ccat to cologne"}
    assert {each.rule for each in found} == {
        "link_down", "source_hours_left", "buffer_hours_left", "backlog", "lane_stalled"
    }  # fmt: skip


def test_behind_a_cut_link_a_buffer_with_weeks_left_is_no_alarm() -> None:
    assert one(cuts=[CUT], places={"ccat_buffer": known("ccat_buffer", in_rate=0.1)}).rule == "link_down"


def test_a_cut_to_a_location_that_left_the_topology_is_told_all_the_same() -> None:
    assert one(cuts=[Cut(site="ccat", operation_id=1, destination="mars_buffer")]).outage == "ccat to mars_buffer"


def test_a_missing_worker_is_told_with_what_waits_for_it() -> None:
    answers = {name: queues for name, queues in EVERYBODY.items() if name != "us"}
    found = one(listening=answers, lanes=[lane(oldest_at=hours_ago(0.1))])
    assert (found.key, found.severity, found.lasting_seconds) == ("worker_missing:us", Severity.CRITICAL, 90)
    assert found.sentence == (
        "The worker on us does not answer: is it running, and does it reach the broker? Waiting: 3 operations of"
        " us_archive_archiving."
    )


def test_a_missing_worker_for_whom_nothing_waits_is_less_urgent() -> None:
    answers = {name: queues for name, queues in EVERYBODY.items() if name != "us"}
    found = one(listening=answers)
    assert (found.severity, found.sentence.endswith("Nothing waits.")) == (Severity.WARNING, True)


def test_when_no_worker_of_a_site_answers_it_is_rather_the_link() -> None:
    answers = {name: queues for name, queues in EVERYBODY.items() if not name.startswith("ccat")}
    found = holds(listening=answers)
    assert [each.key for each in found] == ["worker_missing:ccat-instrument", "worker_missing:ccat-buffer"]
    assert all("rather the link to ccat than the worker" in each.sentence for each in found)
    assert {each.outage for each in found} == {"ccat"}


def test_a_worker_that_does_not_listen_to_a_queue_is_told_how_to() -> None:
    found = one(listening=EVERYBODY | {"us": EVERYBODY["us"] - {"us_buffer_transfer"}})
    assert found.sentence.startswith("The worker on us does not listen to us_buffer_transfer: `dts topology queues")


def heartbeat(host: str, **changes: Any) -> Heartbeat:
    values: dict[str, Any] = {
        "host": host,
        "age_seconds": 70.0,
        "beaten_at": NOW - timedelta(seconds=70),
        "started_at": hours_ago(9),
        "stopped_at": None,
        "version": "1",
        "topology_sha256": TOPOLOGY.sha256,
        "queues": EVERYBODY[host],
        "clock_ahead_seconds": 0.0,
        "total_bytes": None,
        "free_bytes": None,
        "unreached": {},
    }
    return Heartbeat(**(values | changes))


WITHOUT_CCAT = {name: queues for name, queues in EVERYBODY.items() if not name.startswith("ccat")}
DEAD = "The worker on ccat-buffer is dead, or its host is: the last heartbeat of ccat-buffer came 70 seconds ago"
SILENT = {name: heartbeat(name) for name in ("ccat-buffer", "ccat-instrument")}


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (
            {"reached": {"ccat": False}},
            "The link to ccat is cut: the last heartbeat of ccat-buffer came 70 seconds ago",
        ),
        ({"reached": {"ccat": True}}, f"{DEAD}, and the link to ccat is there."),
        ({}, "The last heartbeat of ccat-buffer came 70 seconds ago: the worker or its host is dead, or the link to"),
        (
            {"heartbeats": SILENT | {"ccat-instrument": heartbeat("ccat-instrument", age_seconds=9.0)}},
            f"{DEAD}, and that of ccat-instrument beside it goes on.",
        ),
        (
            {"heartbeats": {"ccat-buffer": heartbeat("ccat-buffer", stopped_at=NOW)}},
            "The worker on ccat-buffer was stopped at 2026-04-01 12:00:00 UTC, and not started again: start it.",
        ),
        (
            {"heartbeats": {"ccat-buffer": heartbeat("ccat-buffer", age_seconds=9.0)}},
            "The worker on ccat-buffer runs (its last heartbeat came 9 seconds ago), but does not answer through the",
        ),
        ({"listening": None, "reached": {"ccat": False}}, "The link to ccat is cut: the last heartbeat of ccat-buffer"),
    ],
)
def test_a_silent_host_is_told_apart_from_a_cut_link(seen: dict[str, Any], sentence: str) -> None:
    found = {each.key: each for each in holds(**({"listening": WITHOUT_CCAT, "heartbeats": SILENT} | seen))}
    assert found["worker_missing:ccat-buffer"].sentence.startswith(sentence)


@pytest.mark.parametrize(("age", "lasting"), [(59.0, 90), (60.0, 0), (300.0, 0)])
def test_a_host_is_missing_since_its_last_heartbeat(age: float, lasting: float) -> None:
    """Rounds are a minute apart: at the latest two minutes after a worker's death people are told."""
    answers = {name: queues for name, queues in EVERYBODY.items() if name != "us"}
    beats = {"us": heartbeat("us", age_seconds=age)}
    found = one(listening=answers, heartbeats=beats, lanes=[lane(oldest_at=hours_ago(0.1))])
    assert (found.lasting_seconds, found.severity) == (lasting, Severity.CRITICAL)


def test_a_person_may_want_to_wait_longer() -> None:
    answers = {name: queues for name, queues in EVERYBODY.items() if name != "us"}
    beats = {"us": heartbeat("us", age_seconds=100.0)}
    (found,) = holds(listening=answers, heartbeats=beats, rules={"worker_missing": {"seconds": 600}})
    assert found.lasting_seconds == 470


def test_where_the_broker_cannot_be_asked_the_plans_findings_count() -> None:
    found = one(listening=None, lanes=[lane(nobody=True, oldest_at=hours_ago(0.1))])
    assert found.sentence.startswith("The last plans found no worker on us for us_archive_archiving.")


def test_damaged_copies_of_a_location_are_one_alarm_critical_in_an_archive() -> None:
    bad = BadCopies(
        location="us_archive",
        site="us",
        location_type="long_term_archive",
        copies=5,
        named=["a (corrupt)", "b (missing)"],
    )
    found = one(bad_copies=[bad])
    assert found.severity is Severity.CRITICAL
    assert found.sentence.startswith("5 copies at us_archive are damaged or gone: a (corrupt), b (missing) and 3 more.")
    in_buffer = BadCopies(location="us_buffer", site="us", location_type="buffer", copies=1, named=["a (corrupt)"])
    assert one(bad_copies=[in_buffer]).severity is Severity.WARNING


def test_a_question_of_the_brake_waits_for_a_person() -> None:
    brake = BrakeSeen(id=4, location="ccat_buffer", site="ccat", asked_at=hours_ago(1), why="Too much would go.")
    assert "`dts brake show 4`" in one(brakes=[brake]).sentence
    assert holds(brakes=[brake], rules={"brake_waiting": {"hours": 2}}) == []


def test_a_staging_job_with_failed_packages_is_told_of_once_and_not_by_its_lane() -> None:
    job = StagingSeen(
        id=3, requested_by="jane", location="cologne_processing", site="cologne", failed=2, why="operation 5: No copy."
    )
    failing = lane(kind="staging", location="cologne_processing", site="cologne", oldest_at=None, failed=2)
    found = one(stagings=[job], lanes=[failing])
    assert found.sentence == (
        "StagingJob 3 of jane at cologne_processing: 2 packages could not be staged. operation 5: No copy."
    )


def test_a_refused_filing_says_how_to_correct_it() -> None:
    filing = RefusedFiling(
        id=17,
        received_at=NOW,
        received_from="chai",
        executed_obs_unit_id=uuid4(),
        verdict="Refused: there is no module 'mod9'.",
        location="ccat_source",
        site="ccat",
    )
    found = one(filings=[filing])
    assert (found.key, found.outage) == ("filing_refused:17", "filings of chai")
    assert found.sentence == (
        "Filing 17 from chai: Refused: there is no module 'mod9'. Mend what it names and file the same files again, or"
        " `dts alarms acknowledge filing_refused:17`."
    )


def test_a_clock_that_is_off_is_told_of_with_the_seconds() -> None:
    found = one(clocks_ahead={"us": -31.0, "cologne": 0.2})
    assert found.sentence.startswith("The clock of us is 31 seconds behind that of ops-db")
    assert found.site == "us"


def test_a_channel_that_fails_is_told_of_on_the_others() -> None:
    failing = ChannelSeen(channel="mail", since=hours_ago(1), attempts=4, last_error="The server is away.")
    assert one(channels=[failing]).key == "channel_failing:mail"
