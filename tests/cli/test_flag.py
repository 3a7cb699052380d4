"""`dts flag`, and what `dts explain` says of what overtakes and of the route of a transfer."""

from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from include.ops_db.apply import apply_topology
from include.ops_db.places import location_ids
from include.ops_db.tables import DataTransferRoute, ExecutedObsUnit, TransferDecision
from include.stages import transfer
from include.topology import OperationKind
from tests.cli.conftest import Dts, Night
from tests.observatory import Observatory
from tests.ops_db.drawing import route
from tests.stages.moved import DESTINATION, bundled, newest, packaged


def flag_of(night: Night) -> tuple[str | None, str | None, bool]:
    with Session(night.engine) as session:
        row = session.get_one(ExecutedObsUnit, night.observation)
        return row.flagged_by, row.flag_reason, row.flagged_at is not None


def test_an_observation_is_flagged_and_unflagged(dts: Dts, night: Night) -> None:
    result = dts("flag", str(night.observation), "--reason", "A nova.", "--by", "ada")
    assert (result.code, result.err) == (0, "")
    assert "lets its packages overtake" in result.out
    assert flag_of(night) == ("ada", "A nova.", True)
    explained = dts("explain", str(night.observation)).out
    assert f"It overtakes others: observation {night.observation} was flagged by ada on" in explained
    assert "UTC: A nova.." not in explained
    assert "It overtakes others" in dts("explain", night.waiting).out

    assert "is flagged no more" in dts("flag", str(night.observation), "--remove").out
    assert flag_of(night) == (None, None, False)
    assert "was not flagged; nothing changed" in dts("flag", str(night.observation), "--remove").out
    assert "overtakes" not in dts("explain", night.waiting).out


def test_a_flag_needs_a_reason_and_an_observation_that_is_known(dts: Dts, night: Night) -> None:
    assert dts("flag", str(night.observation)).code == 2
    assert dts("flag", str(night.observation), "--reason", " ").code == 2
    assert dts("flag", str(night.observation), "--reason", "x", "--remove").code == 2
    result = dts("flag", str(uuid4()), "--reason", "A nova.")
    assert result.code == 1
    assert "ops-db does not know an observation" in result.err


def test_a_transfer_says_its_route_its_timetable_and_the_last_decisions(dts: Dts, observatory: Observatory) -> None:
    (package,) = packaged(observatory)
    bundled(observatory, [package])
    observatory.plan(transfer, DESTINATION)
    operation = newest(observatory, OperationKind.TRANSFER)
    out = dts("explain", str(operation.id)).out
    assert "Route ccat_buffer to cologne_buffer: pulled by the destination, as fast as the link gives." in out

    with Session(observatory.engine) as session, session.begin():
        paced = observatory.topology.model_copy(update={"routes": (route(400),)})
        apply_topology(session, paced, applied_by="tests")
        ids = location_ids(session)
        shared = DataTransferRoute(
            origin_location_id=ids["ccat_buffer"], destination_location_id=ids["cologne_buffer"], streams=9
        )
        session.add(shared)
        session.flush()
        for streams in (4, 6, 9, 12):
            session.add(
                TransferDecision(
                    data_transfer_route_id=shared.id,
                    operation_id=operation.id,
                    streams=streams,
                    decided_at=datetime(2026, 7, 1, 12, streams, tzinfo=UTC),
                    why=f"{streams} are tried, to see whether the link holds more.",
                )
            )
    for word in (str(operation.id), package.name):
        out = dts("explain", word).out
        assert "held to 400 Mbit/s by the timetable; the last transfer used 9 connections." in out
        assert "2026-07-01 12:12:00 UTC: 12 are tried, to see whether the link holds more." in out
        assert "4 are tried" not in out
    with Session(observatory.engine) as session:
        assert session.scalars(select(TransferDecision.streams)).all() == [4, 6, 9, 12]
        assert session.execute(text("select count(*) from data_transfer_route")).scalar_one() == 1
