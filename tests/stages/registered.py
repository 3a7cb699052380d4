"""What tests of registration look at: files in ops-db, and verdicts."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.ops_db.states import FilingState
from include.ops_db.tables import RawDataFile
from include.registration.verdict import Verdict
from tests.observatory import Observatory

FILES = {"17/rfsoc01/1700000000_000.g3": b"first", "17/rfsoc01/1700000000_001.g3": b"second file", "17/empty.g3": b""}
CHECKSUM = "xxh3-128:" + "0" * 32
OTHER_CHECKSUM = "xxh3-128:" + "1" * 32


def raw_data_files(observatory: Observatory) -> dict[str, RawDataFile]:
    with Session(observatory.engine) as session:
        return {row.path: row for row in session.scalars(select(RawDataFile))}


def assert_accepted(verdict: Verdict, *words: str) -> None:
    assert verdict.state is FilingState.ACCEPTED, verdict.sentence
    for word in words:
        assert word in verdict.sentence


def assert_refused(verdict: Verdict, *words: str) -> None:
    assert verdict.state is FilingState.REFUSED, verdict.sentence
    assert verdict.sentence.startswith("Refused: ")
    assert len(verdict.sentence) < 600
    for word in words:
        assert word in verdict.sentence
