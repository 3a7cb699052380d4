"""`dts capacity`, and what `dts status` says about places."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from include.ops_db.states import WorkStatus
from include.topology import OperationKind
from tests.cli.conftest import Dts, Night
from tests.observatory import Observatory
from tests.stages.moved import bundled, packaged

HOUR = timedelta(hours=1)


@pytest.fixture
def filling(observatory: Observatory) -> Observatory:
    """ccat's source filled from 10 to 30 TB within the last five hours; cologne's buffer stands still."""
    seen(observatory, "ccat_source", used=[10, 30])
    seen(observatory, "cologne_buffer", used=[50, 50])
    return observatory


def seen(observatory: Observatory, full_name: str, *, used: list[int]) -> None:
    """Five hours ago and now; in TB of 100."""
    with observatory.engine.begin() as connection:
        for at, bytes_ in zip((datetime.now(UTC) - 5 * HOUR, datetime.now(UTC)), used, strict=True):
            connection.execute(
                text(
                    "insert into location_measurement (data_location_id, measured_at, host, total_bytes, used_bytes,"
                    " stored_bytes, stored_copies, counted_at)"
                    " select id, :at, 'its-host', :total, :used, :used, 7, :at from data_location"
                    " where full_name = :name"
                ),
                {"at": at, "total": 100 * 10**12, "used": bytes_ * 10**12, "name": full_name},
            )


def row(result: object, name: str) -> list[str]:
    return next(cells for cells in result.rows() if cells and cells[0] == name)  # type: ignore[attr-defined]


def test_it_says_what_comes_goes_lies_and_lasts(dts: Dts, filling: Observatory) -> None:
    result = dts("capacity")
    assert result.code == 0
    assert row(result, "location") == ["location", "in/h", "out/h", "stored", "free", "full in"]
    assert row(result, "ccat_source") == ["ccat_source", "4.0 TB", "0 B", "30.0 TB", "70.0 TB", "17 h"]
    assert row(result, "cologne_buffer") == ["cologne_buffer", "0 B", "0 B", "50.0 TB", "50.0 TB", "-"]
    assert max(map(len, result.out.splitlines())) <= 80


def test_with_an_outage_it_says_how_long_it_lasts_then_and_why(dts: Dts, filling: Observatory) -> None:
    result = dts("capacity", "--link-down", "ccat", "--hours", "10")
    assert row(result, "location")[-1] == "10 h on"
    assert row(result, "ccat_source")[-1] == "30.0 TB"
    said = " ".join(result.out.split())
    assert "ccat_source: nothing there gets 2 archive copies at 2 sites, so nothing is deleted." in said
    assert row(dts("capacity", "--link-down", "ccat", "--hours", "20"), "ccat_source")[-1] == "17 h"
    assert row(dts("capacity", "--archive-down", "us_archive"), "location")[-1] == "then"
    assert max(map(len, result.out.splitlines())) <= 80


def test_machines_get_bytes_and_hours(dts: Dts, filling: Observatory) -> None:
    source, buffer = json.loads(dts("capacity", "--json", "--hours", "10").out)
    assert source["location"] == "ccat_source"
    assert source["present"]["in_rate"] == pytest.approx(20e12 / 18_000, rel=0.001)
    assert source["present"]["hours_left"] == pytest.approx(17.5, abs=0.1)
    assert source["free_bytes_after"] == pytest.approx(30e12, rel=0.01)
    assert (buffer["free_bytes"], buffer["present"]["hours_left"]) == (50 * 10**12, None)


def test_a_link_that_is_nowhere_is_said_in_one_line(dts: Dts, filling: Observatory) -> None:
    result = dts("capacity", "--link-down", "moon")
    assert (result.code, result.out) == (1, "")
    assert "'moon' is neither a site (ccat, cologne, us) nor a location" in result.err


def test_before_anything_was_measured_it_says_so(dts: Dts, observatory: Observatory) -> None:
    assert "No location was measured yet" in dts("capacity").out


def test_status_ends_with_the_places_and_their_alarms(dts: Dts, filling: Observatory, night: Night) -> None:
    result = dts("status")
    assert row(result, "ccat_source")[1:3] == ["30%", "70.0 TB"]
    assert row(result, "cologne_buffer")[-1] == "well"
    (alarm,) = [line for line in result.out.splitlines() if line.startswith("At the present")]
    assert "1.1 GB/s ccat_source is full at" in alarm
    assert alarm.endswith("in 17 hours.")


def test_status_tells_of_a_link_that_is_cut(dts: Dts, observatory: Observatory, night: Night) -> None:
    from include.stages import transfer

    seen(observatory, "ccat_source", used=[10, 11])
    bundled(observatory, packaged(observatory))
    observatory.plan(transfer, "cologne_buffer")
    (operation,) = observatory.operations(OperationKind.TRANSFER)
    assert "Alarms" not in dts("status").out
    with observatory.engine.begin() as connection:
        connection.execute(
            text("update operation set failure_count = 3, status = :pending"), {"pending": WorkStatus.PENDING}
        )
    out = dts("status").out
    assert f"Transfers from ccat to cologne_buffer do not get through (operation {operation.id})" in out
    assert "ccat_source is full at" in out
