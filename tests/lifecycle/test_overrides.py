"""Two people together can do with one archive copy, for a day, at one location; nothing else goes around the gate."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle import overrides
from include.lifecycle.gate import Allowed
from include.lifecycle.retention import candidates
from include.lifecycle.subjects import LifecycleSubject
from include.ops_db.places import location_ids
from include.ops_db.states import CopyStatus
from tests.lifecycle.archived import ARCHIVES, Archived, archived_package
from tests.observatory import Observatory


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    """It has lost one of its archive copies."""
    package = archived_package(observatory)
    package.change_copy("us_archive", status=CopyStatus.MISSING)
    return package


def ask(package: Archived, *, location: str = "ccat_source", observation: bool = False, **more: str) -> int:
    subject = (
        LifecycleSubject(executed_obs_unit_id=package.observation)
        if observation
        else LifecycleSubject(raw_data_package_id=package.id)
    )
    said = {"reason": "The disks are full.", "person": "ada", "account": "dts@ccat"} | more
    with Session(package.observatory.engine) as session, session.begin():
        return overrides.ask(session, subject, location=location, **said).id


def confirm(package: Archived, number: int, *, person: str = "bob", account: str = "dts@cologne") -> None:
    with Session(package.observatory.engine) as session, session.begin():
        overrides.confirm(session, number, person=person, account=account)


def is_candidate(package: Archived) -> bool:
    with Session(package.observatory.engine) as session:
        here = location_ids(session)["ccat_source"]
        policy = package.observatory.topology.policy
        found = candidates(session, data_location_id=here, policy=policy, now=datetime.now(UTC), most=10)
        return package.id in [row.id for row in found]


def test_what_two_people_want_goes_on_one_archive_copy_and_the_record_names_both(package):
    number = ask(package)
    assert "1 verified archive copy at 1 site, and 2 at 2 are needed" in package.refusal("ccat_source")
    assert not is_candidate(package)
    confirm(package, number)
    assert is_candidate(package)
    assert isinstance(package.ask("ccat_source"), Allowed)
    (record,) = package.records()
    assert record.copy_rule_override_id == number
    assert record.reason.endswith(
        f"Policy asks for 2 at 2: ada asked for it and bob confirmed it (override {number}: The disks are full.)."
    )
    assert [copy["location"] for copy in record.evidence] == ["cologne_archive"]


def test_the_last_archive_copy_is_never_put_aside(package):
    confirm(package, ask(package))
    package.change_copy("cologne_archive", status=CopyStatus.CORRUPT)
    assert "0 verified archive copies at 0 sites, and 1 at 1 are needed" in package.refusal("ccat_source")
    assert not is_candidate(package)


def test_nothing_else_is_answered_otherwise(package):
    confirm(package, ask(package))
    package.change(state="transferring")
    assert "not archived" in package.refusal("ccat_source")
    package.change(state="archived", archived_at=datetime.now(UTC) + timedelta(hours=1))
    assert "until" in package.refusal("ccat_source")


def test_what_an_archive_gets_from_a_buffer_stays_there(package):
    confirm(package, ask(package, location="cologne_buffer"))
    assert "The archive at us has no verified copy" in package.refusal("cologne_buffer")


@pytest.mark.parametrize("location", ARCHIVES)
def test_nobody_overrides_an_archive(package, location):
    with pytest.raises(BadInputError, match="nothing is ever deleted there, whoever asks"):
        ask(package, location=location)


def test_it_is_about_its_location_and_its_package_only(package):
    confirm(package, ask(package))
    other = archived_package(package.observatory, {"b.g3": b"b"})
    other.change_copy("us_archive", status=CopyStatus.MISSING)
    assert "are needed" in package.refusal("ccat_buffer")
    assert "are needed" in other.refusal("ccat_source")


def test_of_an_observation_it_is_about_the_packages_that_it_had(package):
    confirm(package, ask(package, observation=True))
    later = archived_package(package.observatory, {"b.g3": b"b"}, observation=package.observation)
    later.change_copy("us_archive", status=CopyStatus.MISSING)
    assert "are needed" in later.refusal("ccat_source")
    assert isinstance(package.ask("ccat_source"), Allowed)


def test_it_is_over_after_a_day(package):
    confirm(package, ask(package))
    now = datetime.now(UTC)
    assert "are needed" in package.refusal("ccat_source", at=now + timedelta(hours=25))
    assert isinstance(package.ask("ccat_source", at=now + timedelta(hours=23)), Allowed)


def test_where_it_was_not_needed_the_record_does_not_name_it(package):
    confirm(package, ask(package))
    package.change_copy("us_archive", status=CopyStatus.PRESENT)
    assert isinstance(package.ask("ccat_source"), Allowed)
    (record,) = package.records()
    assert record.copy_rule_override_id is None
    assert "bob" not in record.reason


@pytest.mark.parametrize("person", ["ada", "Ada ", " "])
def test_nobody_confirms_what_they_asked_for_themselves(package, person):
    number = ask(package)
    with pytest.raises(BadInputError, match="person"):
        confirm(package, number, person=person)
    assert not is_candidate(package)


def test_nobody_is_two_people_by_giving_two_names(package):
    number = ask(package)
    with pytest.raises(BadInputError, match="was asked for from dts@ccat, too"):
        confirm(package, number, account="dts@ccat")
    assert not is_candidate(package)
    confirm(package, number)
    assert is_candidate(package)


def test_what_is_confirmed_over_or_unknown_is_not_confirmed_again(package):
    number = ask(package)
    confirm(package, number)
    with pytest.raises(BadInputError, match="confirmed by bob already"):
        confirm(package, number, person="eve")
    with pytest.raises(BadInputError, match="no override 4711"):
        confirm(package, 4711)
    with package.observatory.engine.begin() as connection:
        connection.execute(
            text(
                "insert into copy_rule_override (id, raw_data_package_id, data_location_id, reason, asked_by,"
                " asked_from, expires_at) overriding system value select 99, :package, id, '.', 'ada', '.', now()"
                " from data_location where full_name = 'ccat_source'"
            ),
            {"package": package.id},
        )
    with pytest.raises(BadInputError, match="Override 99 was over"):
        confirm(package, 99)


def test_ops_db_itself_holds_it_to_two_people(package):
    number = ask(package)
    with pytest.raises(IntegrityError, match="two_people"), package.observatory.engine.begin() as connection:
        connection.execute(
            text("update copy_rule_override set confirmed_by = asked_by, confirmed_at = now() where id = :id"),
            {"id": number},
        )
