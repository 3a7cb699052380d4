"""An archive copy that nobody has read for too long counts only once it was read again; the gate asks for that."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle.gate import Allowed
from include.lifecycle.preview import preview
from include.ops_db.apply import apply_topology
from include.ops_db.states import CopyStatus
from include.retention import RetentionRule
from include.topology import OperationKind
from tests.lifecycle.archived import Archived, archived_package
from tests.lifecycle.test_pins import pin
from tests.observatory import Observatory

LONG_AGO = datetime.now(UTC) - timedelta(days=40)


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    """Its copy at us was verified forty days ago, and thirty are allowed at the source."""
    package = archived_package(observatory)
    topology = observatory.topology
    policy = topology.policy.model_copy(update={"retention": (RetentionRule(at="source", verified_within_days=30),)})
    observatory.topology = topology.model_copy(update={"policy": policy})
    with Session(observatory.engine) as session, session.begin():
        apply_topology(session, observatory.topology, applied_by="tests")
    package.change_copy("us_archive", verified_at=LONG_AGO)
    return package


def scrubs(package: Archived) -> list[tuple[str, int, str]]:
    """Where scrubs are wanted, with their priority and explanation."""
    with package.observatory.engine.connect() as connection:
        found = connection.execute(
            text(
                "select l.full_name, o.priority, o.explanation from operation o"
                " join data_location l on l.id = o.data_location_id join physical_copy c on c.id = o.physical_copy_id"
                " where o.kind = 'scrubbing' and c.raw_data_package_id = :package and o.status = 'pending'"
            ),
            {"package": package.id},
        )
        return [tuple(row) for row in found]


def test_the_gate_asks_for_a_scrub_and_waits(package):
    assert package.refusal("ccat_source") == (
        f"{package.name} has 1 verified archive copy at 1 site, and 2 at 2 are needed; not counted: us_archive"
        f" (verified at {LONG_AGO:%Y-%m-%d %H:%M:%S} UTC, longer ago than 30 days). They are"
        " read again first (scrubbing)."
    )
    asked = [("us_archive", 10, f"{package.name} may go from ccat_source once this copy was read again.")]
    assert scrubs(package) == asked
    package.refusal("ccat_source")
    assert scrubs(package) == asked, "once is enough"

    package.change_copy("us_archive", verified_at=datetime.now(UTC))
    assert isinstance(package.ask("ccat_source"), Allowed)


def test_the_rule_is_that_of_the_location(package):
    assert isinstance(package.ask("ccat_buffer"), Allowed)


def test_if_the_scrub_finds_it_bad_it_stays(package):
    package.refusal("ccat_source")
    package.change_copy("us_archive", status=CopyStatus.CORRUPT)
    assert "us_archive (corrupt)" in package.refusal("ccat_source")


def test_no_scrub_is_asked_for_while_something_else_keeps_it(package):
    pin(package)
    assert "pinned" in package.refusal("ccat_source")
    assert scrubs(package) == []


def test_a_dry_run_asks_for_no_scrub(package):
    with Session(package.observatory.engine) as session, session.begin():
        source = package.observatory.topology.location("ccat_source")
        (answer,) = preview(session, topology=package.observatory.topology, location=source)
    assert "They are read again first" in answer.reason
    assert scrubs(package) == []


def test_a_copy_that_is_being_scrubbed_stays(package):
    with package.observatory.engine.begin() as connection:
        connection.execute(
            text(
                "insert into operation (kind, data_location_id, physical_copy_id, status, explanation)"
                " select 'scrubbing', l.id, c.id, 'in_progress', '.' from physical_copy c"
                " join data_location l on l.id = c.data_location_id"
                " where l.full_name = 'ccat_buffer' and c.raw_data_package_id = :package"
            ),
            {"package": package.id},
        )
    reason = package.refusal("ccat_buffer")
    assert f"({OperationKind.SCRUBBING}) is in_progress, and reads it" in reason
