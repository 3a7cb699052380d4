"""Which rule matches a copy, when it goes by age, by pressure, or not; the query and the gate say the same."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.lifecycle.gate import Allowed
from include.lifecycle.retention import candidates, mark_deletion_possible
from include.ops_db.places import location_ids
from include.ops_db.states import CopyStatus
from include.policy import Policy
from include.retention import Release, RetentionRule
from include.topology import LocationType
from tests.lifecycle.archived import FILES, Archived, archived_package
from tests.observatory import Observatory

NOW = datetime(2026, 4, 20, tzinfo=UTC)
ARCHIVED_AT = NOW - timedelta(days=10)


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    package = archived_package(observatory, archived_at=ARCHIVED_AT)
    package.change(created_at=ARCHIVED_AT - timedelta(days=1))
    return package


def use(package: Archived, *rules: RetentionRule, **policy: object) -> None:
    """Have these rules be the policy, for the gate and for the query."""
    topology = package.observatory.topology
    changed = topology.policy.model_copy(update={"retention": rules, **policy})
    package.observatory.topology = topology.model_copy(update={"policy": changed})


def found(package: Archived, location: str, *, at: datetime = NOW, pressure: bool = False, **more: bool) -> list[int]:
    """Ids of the candidates."""
    with Session(package.observatory.engine) as session:
        here = location_ids(session)[location]
        policy = package.observatory.topology.policy
        rows = candidates(session, data_location_id=here, policy=policy, now=at, most=10, pressure=pressure, **more)
        return [row.id for row in rows]


def goes(package: Archived, location: str, *, at: datetime = NOW, pressure: bool = False) -> bool:
    """Whether it goes, by the query and by the gate, which must agree."""
    by_query = found(package, location, at=at, pressure=pressure) == [package.id]
    with Session(package.observatory.engine) as session:
        answer = package.ask_in(session, location, at=at, pressure=pressure)
        session.rollback()
    assert isinstance(answer, Allowed) == by_query, answer
    return by_query


def retention_of(rules: Sequence[RetentionRule], *, module: str = "mod280", **numbers: object):
    policy = Policy(retention=tuple(rules), **numbers)
    return policy.retention_at(
        location_type=LocationType.SOURCE, full_name="ccat_source", instrument="primecam", module=module
    )


def test_the_first_rule_that_matches_counts_and_what_it_does_not_say_is_the_policys():
    rules = [
        RetentionRule(at="buffer", keep_days=1),
        RetentionRule(at="ccat_source", module="mod350", keep_days=2),
        RetentionRule(at="source", instrument="primecam", keep_days=3, deletion_grace_seconds=5),
        RetentionRule(keep_days=4),
    ]
    held = retention_of(rules, verified_within_days=30)
    assert (held.rule, held.keep_days, held.grace_seconds) == (3, 3, 5)
    assert (held.archive_copies, held.archive_sites, held.verified_within_days) == (2, 2, 30)
    assert retention_of(rules, module="mod350").rule == 2
    assert retention_of(rules[:1]).rule is None
    assert retention_of([RetentionRule(instrument="chai")]).rule is None


def test_a_copy_goes_by_age_when_its_days_are_over(package):
    use(package, RetentionRule(at="source", keep_days=30), RetentionRule(at="ccat_buffer", keep_days=5))
    ends = ARCHIVED_AT + timedelta(days=30)
    assert not goes(package, "ccat_source", at=ends - timedelta(seconds=1))
    assert goes(package, "ccat_source", at=ends)
    assert goes(package, "ccat_buffer")
    assert goes(package, "cologne_buffer"), "no rule matches there"
    assert package.refusal("ccat_source", at=NOW) == (
        f"Retention rule 1 keeps {package.name} at ccat_source until {ends:%Y-%m-%d %H:%M:%S} UTC, unless room is"
        " needed before."
    )


def test_days_are_counted_from_filing_too(package):
    use(package, RetentionRule(keep_days_after_filing=20))
    ends = ARCHIVED_AT - timedelta(days=1) + timedelta(days=20)
    assert not goes(package, "ccat_source", at=ends - timedelta(seconds=1))
    assert goes(package, "ccat_source", at=ends)


def test_a_rule_is_about_its_instrument_and_module_only(package):
    use(package, RetentionRule(instrument="chai", keep_days=99), RetentionRule(module="mod350", keep_days=99))
    assert goes(package, "ccat_source")
    use(package, RetentionRule(instrument="primecam", module="mod280", keep_days=99))
    assert not goes(package, "ccat_source")


def test_what_goes_by_pressure_only_stays_while_there_is_room(package):
    use(package, RetentionRule(at="source", release=Release.BY_PRESSURE))
    assert not goes(package, "ccat_source", at=NOW + timedelta(days=10_000))
    assert "by pressure only" in package.refusal("ccat_source", at=NOW)
    assert goes(package, "ccat_source", pressure=True)


def test_pressure_shortens_the_days_but_never_the_grace_period(package):
    use(package, RetentionRule(keep_days=30, deletion_grace_seconds=9 * 86_400))
    assert not goes(package, "ccat_source")
    assert goes(package, "ccat_source", pressure=True)
    use(package, RetentionRule(keep_days=30, deletion_grace_seconds=11 * 86_400))
    assert not goes(package, "ccat_source", pressure=True)


def test_pressure_changes_no_other_answer(package):
    package.change_copy("us_archive", status=CopyStatus.CORRUPT)
    assert not goes(package, "ccat_source", pressure=True)


def test_copies_that_a_rule_asks_for_are_counted(package):
    use(package, RetentionRule(at="source", archive_copies=3))
    assert not goes(package, "ccat_source")
    assert "2 verified archive copies at 2 sites, and 3 at 2 are needed" in package.refusal("ccat_source", at=NOW)
    assert goes(package, "ccat_buffer")


def test_the_safest_goes_first_and_then_the_oldest(observatory: Observatory):
    young, old, less_safe = (
        archived_package(observatory, {f"{days}.g3": b"x"}, archived_at=NOW - timedelta(days=days))
        for days in (1, 5, 9)
    )
    use(less_safe, archive_copies=1, archive_sites=1)
    less_safe.change_copy("us_archive", status=CopyStatus.MISSING)
    assert found(less_safe, "ccat_source", at=datetime.now(UTC)) == [old.id, young.id, less_safe.id]


def test_what_is_planned_already_comes_only_if_asked_for(package):
    with Session(package.observatory.engine) as session, session.begin():
        session.execute(
            text(
                "insert into operation (kind, data_location_id, raw_data_package_id, explanation)"
                " select 'deletion', id, :package, '.' from data_location where full_name = 'ccat_source'"
            ),
            {"package": package.id},
        )
    assert found(package, "ccat_source") == []
    assert found(package, "ccat_source", with_operations=True) == [package.id]


def mark(package: Archived) -> int:
    with Session(package.observatory.engine) as session, session.begin():
        here = location_ids(session)["ccat_source"]
        policy = package.observatory.topology.policy
        return mark_deletion_possible(session, data_location_id=here, policy=policy, now=NOW, most=10)


def test_raw_files_may_go_once_their_package_is_archived_as_policy_says(package):
    use(package, RetentionRule(release=Release.BY_PRESSURE))
    package.change_copy("us_archive", status=CopyStatus.MISSING)
    assert mark(package) == 0
    package.change_copy("us_archive", status=CopyStatus.PRESENT)
    assert mark(package) == 2
    assert set(package.statuses("ccat_source")) == {CopyStatus.DELETION_POSSIBLE}
    assert mark(package) == 0
    assert goes(package, "ccat_source", pressure=True)


def test_raw_files_may_go_once_the_buffers_copy_went(package):
    package.change_copy("us_archive", status=CopyStatus.MISSING)
    package.change_copy("ccat_buffer", status=CopyStatus.DELETED)
    assert mark(package) == 2
    assert not goes(package, "ccat_source"), "it is the first of two steps: the gate asks for its copies all the same"


def test_raw_files_of_what_is_not_archived_are_not_marked(package):
    package.change(state="transferring", archived_at=None)
    package.change_copy("ccat_buffer", status=CopyStatus.DELETED)
    assert mark(package) == 0


def test_a_package_that_somebody_works_on_is_marked_next_time(package, engine):
    with Session(engine) as other:
        other.execute(text("select from raw_data_package for no key update"))
        assert mark(package) == 0
    assert mark(package) == 2


def gone_at(package: Archived) -> datetime | None:
    with package.observatory.engine.connect() as connection:
        row = connection.execute(
            text("select raw_files_gone_at from raw_data_package where id = :id"), {"id": package.id}
        )
        return row.scalar_one()


@pytest.mark.parametrize(("left", "is_gone"), [("deleted", True), ("missing", True), ("corrupt", False)])
def test_a_package_whose_raw_files_are_gone_is_looked_for_no_more(package, left, is_gone):
    mark(package)
    set_raw_files(package, "deleted")
    set_raw_files(package, left, path=min(FILES))
    assert gone_at(package) is None
    mark(package)
    assert (gone_at(package) is not None) == is_gone
    assert found(package, "ccat_source") == []


def test_a_deletion_that_had_begun_comes_first_whatever_the_policy(package):
    use(package, RetentionRule(keep_days=99))
    mark(package)
    set_raw_files(package, "deletion_in_progress", path=min(FILES))
    assert found(package, "ccat_source") == [package.id]


def set_raw_files(package: Archived, status: str, *, path: str | None = None) -> None:
    with package.observatory.engine.begin() as connection:
        connection.execute(
            text(
                "update physical_copy c set status = :status from raw_data_file f where f.id = c.raw_data_file_id"
                " and f.raw_data_package_id = :package and (cast(:path as text) is null or f.path = :path)"
            ),
            {"status": status, "package": package.id, "path": path},
        )
