"""What a person pins stays, wherever and for as long as it is said; who, why and until when stays on record."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle import pins
from include.lifecycle.gate import Allowed
from include.lifecycle.pins import Pinned
from include.lifecycle.retention import candidates
from include.lifecycle.subjects import LifecycleSubject
from include.ops_db.places import location_ids
from tests.lifecycle.archived import Archived, archived_package
from tests.lifecycle.test_gate import wait_until_blocked
from tests.observatory import Observatory


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def pin(package: Archived, *, observation: bool = False, location: str | None = None, **more: object) -> Pinned:
    subject = (
        LifecycleSubject(executed_obs_unit_id=package.observation)
        if observation
        else LifecycleSubject(raw_data_package_id=package.id)
    )
    said = {"reason": "Its calibration is in doubt.", "person": "ada", "until": None} | more
    with Session(package.observatory.engine) as session, session.begin():
        return pins.pin(session, subject, location=location, **said)


def release(package: Archived, *, pin_id: int) -> list[int]:
    with Session(package.observatory.engine) as session, session.begin():
        return pins.release(session, person="bob", pin_id=pin_id, subject=LifecycleSubject())


def is_candidate(package: Archived, location: str) -> bool:
    with Session(package.observatory.engine) as session:
        here = location_ids(session)[location]
        policy = package.observatory.topology.policy
        found = candidates(session, data_location_id=here, policy=policy, now=datetime.now(UTC), most=10)
        return package.id in [row.id for row in found]


def test_what_is_pinned_stays_everywhere_until_it_is_released(package):
    number = pin(package).id
    for location in ("ccat_source", "ccat_buffer", "cologne_buffer"):
        assert package.refusal(location) == (
            f"ada pinned {package.name} everywhere until somebody releases it (pin {number}): Its calibration is in"
            " doubt."
        )
        assert not is_candidate(package, location)
    assert release(package, pin_id=number) == [number]
    assert is_candidate(package, "ccat_source")
    assert isinstance(package.ask("ccat_source"), Allowed)


def test_pressure_does_not_lift_a_pin(package):
    pin(package)
    answer = package.ask("ccat_source", pressure=True)
    assert "ada pinned" in answer.reason


def test_a_pin_at_a_location_is_about_that_one_only(package):
    pin(package, location="ccat_source")
    assert "pinned" in package.refusal("ccat_source")
    assert isinstance(package.ask("ccat_buffer"), Allowed)


def test_a_pin_ends_at_its_date(package):
    until = datetime.now(UTC) + timedelta(days=1)
    pin(package, until=until)
    assert f"until {until:%Y-%m-%d %H:%M:%S} UTC" in package.refusal("ccat_source")
    assert isinstance(package.ask("ccat_source", at=until), Allowed)


def test_a_pin_of_an_observation_keeps_all_its_packages_and_no_others(package):
    other = archived_package(package.observatory, {"b.g3": b"b"})
    assert pin(package, observation=True).packages == 1
    later = archived_package(package.observatory, {"later.g3": b"c"}, observation=package.observation)
    for kept in (package, later):
        assert f"with its observation {package.observation}" in kept.refusal("ccat_source")
        assert not is_candidate(kept, "ccat_source")
    assert isinstance(other.ask("ccat_source"), Allowed)


def test_the_pin_that_holds_longest_is_named(package):
    pin(package, until=datetime.now(UTC) + timedelta(days=1))
    pin(package, person="bob", reason="For ever.")
    assert package.refusal("ccat_source").startswith("bob pinned")


def test_pins_of_a_subject_are_released_together_and_by_location(package):
    everywhere, here = pin(package).id, pin(package, location="ccat_source").id
    subject = LifecycleSubject(raw_data_package_id=package.id)
    with Session(package.observatory.engine) as session, session.begin():
        assert pins.release(session, person="bob", subject=subject, location="ccat_source") == [here]
        assert pins.release(session, person="bob", subject=subject) == [everywhere]
        assert pins.release(session, person="bob", subject=subject) == []
        assert pins.pins_that_hold(session) == []


def test_a_pin_says_what_it_came_too_late_for(package):
    package.ask("ccat_source")
    package.change_copy("ccat_buffer", status="deleted")
    assert pin(package).too_late_at == (("ccat_buffer", 1), ("ccat_source", 1))
    assert pin(package, location="cologne_buffer").too_late_at == ()


def test_a_pin_that_is_set_while_the_gate_waits_for_the_lock_is_seen(package, engine):
    with ThreadPoolExecutor(1) as threads, Session(engine) as pinning:
        pins.pin(
            pinning,
            LifecycleSubject(executed_obs_unit_id=package.observation),
            location=None,
            reason="Wait!",
            person="ada",
            until=None,
        )
        deletion = threads.submit(package.ask, "ccat_source")
        wait_until_blocked(engine)
        pinning.commit()
        assert "Wait!" in deletion.result().reason


def test_what_makes_no_sense_is_said(package):
    with pytest.raises(BadInputError, match="reason"):
        pin(package, reason=" ")
    with pytest.raises(BadInputError, match="is over"):
        pin(package, until=datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(BadInputError, match="us_archive is a long-term archive"):
        pin(package, location="us_archive")
    object.__setattr__(package, "observation", uuid4())
    with pytest.raises(BadInputError, match="does not know an observation"):
        pin(package, observation=True)


@pytest.mark.parametrize(
    "change",
    [
        "delete from pin",
        "truncate pin",
        "update pin set reason = 'another'",
        "update pin set until = now()",
        "update pin set released_by = 'eve'",
    ],
)
def test_what_a_pin_said_is_history(package, change):
    release(package, pin_id=pin(package).id)
    with pytest.raises(DBAPIError, match="never changed"), package.observatory.engine.begin() as connection:
        connection.execute(text(change))
