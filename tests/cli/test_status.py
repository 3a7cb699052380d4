from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.orm import Session

from include.ops_db.states import FilingState, WorkStatus
from include.ops_db.tables import Filing
from include.topology import OperationKind
from tests.cli.conftest import Dts, Night


def test_every_stage_stands_there_at_every_site_where_it_runs(dts: Dts, night: Night) -> None:
    lines = [row[:2] for row in dts("status").rows()]
    assert lines[0] == ["stage", "site"]
    assert ["packaging", "ccat"] in lines
    assert ["archiving", "cologne"] in lines
    assert ["archiving", "us"] in lines
    assert ["transfer", "ccat"] not in lines


def test_the_sentence_is_that_of_the_oldest_failed_operation(dts: Dts, night: Night) -> None:
    night.add_operation(OperationKind.ARCHIVING, "us_archive", package=night.waiting, explanation="It waits its turn.")
    failed = night.add_operation(
        OperationKind.ARCHIVING,
        "us_archive",
        package=night.archived,
        status=WorkStatus.FAILED,
        explanation="The bucket is [gone].",
    )
    result = dts("status")
    row = next(row for row in result.rows() if row[:2] == ["archiving", "us"])
    assert row[2:6] == ["1", "0", "0", "1"]
    assert row[-1] == f"operation {failed}: The bucket is [gone]."
    assert result.code == 0


def test_what_is_done_is_not_counted(dts: Dts, night: Night) -> None:
    night.add_operation(OperationKind.ARCHIVING, "us_archive", package=night.archived, status=WorkStatus.COMPLETED)
    row = next(row for row in dts("status").rows() if row[:2] == ["archiving", "us"])
    assert row[2:] == ["0", "0", "0", "0"]


def test_filings_that_were_refused_lately_are_shown_with_their_verdict(dts: Dts, night: Night) -> None:
    with Session(night.engine) as session, session.begin():
        for age_days, verdict in ((0, "No module 'mod999'."), (3, "Long ago.")):
            session.add(
                Filing(
                    dag_run_id=str(uuid4()),
                    received_from="chai",
                    conf=None,
                    state=FilingState.REFUSED,
                    verdict=verdict,
                    received_at=datetime.fromtimestamp(datetime.now(UTC).timestamp() - 86_400 * age_days, UTC),
                )
            )
    out = dts("status").out
    assert "No module 'mod999'." in out
    assert "Long ago." not in out


def test_in_a_pipe_there_is_neither_colour_nor_a_wrapped_line(dts: Dts, night: Night) -> None:
    sentence = "word " * 100 + "end."
    night.add_operation(OperationKind.ARCHIVING, "us_archive", package=night.waiting, explanation=sentence)
    out = dts("status").out
    assert sentence in out
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_without_an_applied_topology_it_says_what_to_do(dts: Callable[..., object], bare_dts: Dts) -> None:
    result = bare_dts("status")
    assert (result.code, result.out) == (1, "")
    assert result.err == "dts: No topology was applied to ops-db yet: run `dts topology apply`.\n"
