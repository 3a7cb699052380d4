"""Plans for what failed in one run, for one location, for some packages."""

import pytest
from sqlalchemy import text

from include.errors import PermanentError
from include.operations.batch import BatchFailedError
from include.operations.stage import Selection
from include.ops_db.states import WorkStatus
from include.topology import OperationKind
from tests.operations.laboratory import PLACE, Laboratory


def test_clearing_a_run_proposes_what_failed_in_it_and_nothing_else(lab: Laboratory) -> None:
    mine, others = lab.operations(2)

    def work(_):
        raise PermanentError("no")

    lab.stage.work = work
    for operation, run_id in ((mine, "mine"), (others, "other")):
        runner = lab.observatory.runner(lab.stage, PLACE, run_id=run_id)
        with pytest.raises(BatchFailedError):
            runner.run([operation])
    assert lab.plan(run_id="mine").batches == []
    assert lab.plan(run_id="mine", retry_failed_for="Ada").batches == [[mine]]
    assert lab.operation(others).status is WorkStatus.FAILED
    assert lab.attempts(mine) == ["permanent", "reset"]
    with lab.engine.connect() as connection:
        assert connection.execute(text("select person from operation_attempt where number = 2")).scalar_one() == "Ada"


def test_a_run_for_one_location_leaves_the_other_lanes_alone(lab: Laboratory) -> None:
    lab.packages(1)
    plan = lab.plan(selection=Selection(only_location="us_archive"))
    assert (plan.batches, plan.explanation) == ([], "This run is only for us_archive.")
    assert lab.all() == []


def test_a_run_for_some_packages_proposes_only_those(lab: Laboratory) -> None:
    operations = lab.operations(3)
    with lab.engine.connect() as connection:
        names = connection.execute(text("select name from raw_data_package order by id")).scalars().all()
    assert lab.plan(selection=Selection(packages=(names[1],))).batches == [[operations[1]]]
    assert lab.plan(selection=Selection(packages=("no such package",))).batches == []


def test_packages_are_found_in_their_bundles_and_transfers_too(lab: Laboratory) -> None:
    package, stranger = lab.packages(2)
    with lab.engine.begin() as connection:
        here, there = (
            connection.execute(text("select id from data_location where full_name = :name"), {"name": name}).scalar()
            for name in ("ccat_buffer", "cologne_buffer")
        )
        for wanted in (package, stranger):
            bundle = connection.execute(
                text(
                    "insert into data_transfer_package (origin_location_id, destination_location_id, is_primary, state,"
                    " closes_at) values (:here, :there, true, 'closed', now()) returning id"
                ),
                {"here": here, "there": there},
            ).scalar()
            connection.execute(
                text("insert into data_transfer_package_member values (:bundle, :package)"),
                {"bundle": bundle, "package": wanted},
            )
            connection.execute(
                text(
                    "with made as (insert into data_transfer (data_transfer_package_id, origin_location_id,"
                    " destination_location_id) values (:bundle, :here, :there) returning id)"
                    " insert into operation (kind, data_location_id, data_transfer_id, explanation)"
                    " select 'transfer', :there, id, 'It is new.' from made"
                ),
                {"bundle": bundle, "here": here, "there": there},
            )
            connection.execute(
                text(
                    "insert into operation (kind, data_location_id, data_transfer_package_id, explanation)"
                    " values ('bundling', :here, :bundle, 'It is new.')"
                ),
                {"bundle": bundle, "here": here},
            )
        name = connection.execute(
            text("select name from raw_data_package where id = :id"), {"id": package}
        ).scalar_one()
    for kind, place in ((OperationKind.TRANSFER, "cologne_buffer"), (OperationKind.BUNDLING, "ccat_buffer")):
        lab.stage.KIND = kind
        lab.stage.plan = lambda _: None  # type: ignore[method-assign]
        first = lab.all()[0].id
        plan = lab.observatory.plan(lab.stage, place, selection=Selection(packages=(name,)))
        assert plan.batches == [[first]]
