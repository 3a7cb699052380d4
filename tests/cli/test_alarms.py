import json
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from include.alarm_rules import Severity
from include.notifications import ledger
from include.notifications.alarm import Judged
from include.notifications.deliver import Delivered
from include.notifications.watch import Watched, watch
from include.ops_db.states import FilingState
from include.topology import load_topology
from tests.cli.conftest import Dts, Night
from tests.notifications.known import judged
from tests.observatory import SANDBOX, now


def raised(engine: Engine, *alarms: Judged) -> None:
    with engine.begin() as connection:
        ledger.record(connection, alarms, now=now())


def one_round(engine: Engine) -> Watched:
    def no_access(_: str) -> None:
        raise AssertionError

    return watch(engine, topology=load_topology(SANDBOX), listening=lambda: None, access_to=no_access, host="cologne")


def test_without_alarms_it_says_so_and_when_somebody_looked(dts: Dts, night: Night) -> None:
    assert dts("alarms").out == "No alarm is open.\nAlarms were never judged: does the DAG monitoring run?\n"
    assert one_round(night.engine).delivered == Delivered()
    lines = dts("alarms").out.splitlines()
    assert lines[-1].startswith("Judged ")
    assert "late" not in lines[-1]


def test_when_nobody_has_looked_for_a_while_it_says_so(dts: Dts, night: Night) -> None:
    one_round(night.engine)
    with night.engine.begin() as connection:
        connection.execute(text("update alarm_watch set judged_at = now() - interval '4 minutes'"))
    assert dts("alarms").out.endswith("That is late: does the DAG monitoring run?\n")


def test_open_alarms_are_listed_with_since_when_why_and_what_to_do(dts: Dts, night: Night) -> None:
    raised(night.engine, judged("backlog:ccat_source"), judged("clock_off:us", severity=Severity.CRITICAL))
    lines = dts("alarms").out.splitlines()
    assert lines[0] == "critical  clock_off:us"
    assert lines[1] == "  clock_off:us is so."
    assert lines[2].startswith("  Since 2")
    assert lines[2].endswith("What to do: docs/runbook.md#clock_off")
    assert lines[4] == "warning  backlog:ccat_source"


def test_as_json_there_is_all_of_it(dts: Dts, night: Night) -> None:
    raised(night.engine, judged("backlog:ccat_source"))
    found = json.loads(dts("alarms", "--json").out)
    (each,) = found["alarms"]
    assert (each["alarm"]["key"], each["alarm"]["severity"]) == ("backlog:ccat_source", "warning")
    assert each["runbook"] == "docs/runbook.md#backlog"


def test_what_is_over_is_shown_if_asked_for(dts: Dts, night: Night) -> None:
    raised(night.engine, judged("backlog:ccat_source"))
    with night.engine.begin() as connection:
        ledger.record(connection, [], now=now() + timedelta(minutes=5))
    assert "backlog" not in dts("alarms").out
    assert " until " in dts("alarms", "--cleared", "5").out


def test_a_person_acknowledges_and_is_named(dts: Dts, night: Night) -> None:
    raised(night.engine, judged("backlog:ccat_source"))
    assert dts("alarms", "acknowledge", "backlog:ccat_source", "--by", "jane").out == (
        "Acknowledged: backlog:ccat_source.\n"
    )
    assert "; seen by jane." in dts("alarms").out
    again = dts("alarms", "acknowledge", "backlog:ccat_source", "--by", "joe")
    assert (again.code, again.out) == (1, "")
    assert again.err == (
        "dts: There is no open alarm 'backlog:ccat_source' that nobody has acknowledged: see `dts alarms`.\n"
    )


@pytest.fixture
def refused(night: Night) -> int:
    with night.engine.begin() as connection:
        connection.execute(
            text(
                "insert into filing (dag_run_id, received_from, state, verdict, decided_at, conf)"
                " values ('r', 'chai', :state, 'Refused: no module mod9.', now(), '{}')"
            ),
            {"state": FilingState.REFUSED},
        )
        return int(connection.execute(text("select id from filing where dag_run_id = 'r'")).scalar_one())


def test_status_shows_a_refused_filing_and_how_to_correct_it_until_a_person_has_seen_it(
    dts: Dts, night: Night, refused: int
) -> None:
    out = dts("status").out
    assert "Refused: no module mod9." in out
    assert "file the same files again, or `dts alarms acknowledge filing_refused:FILING`." in out
    one_round(night.engine)
    assert "1 open: `dts alarms` says since when, why, and what to do." in dts("status").out
    assert dts("alarms", "acknowledge", f"filing_refused:{refused}", "--by", "jane").code == 0
    assert "no module mod9" not in dts("status").out
    with night.engine.begin() as connection:
        connection.execute(text("set local session_replication_role = replica"))
        connection.execute(text("update alarm set last_seen_at = last_seen_at - interval '2 minutes'"))
    one_round(night.engine)
    assert dts("alarms").out.startswith("No alarm is open.")
