"""When a package is made, and of which files: every file is in one package, whoever plans."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from include.operations.stage import Selection
from include.ops_db.tables import RawDataFile
from include.stages import packaging
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.filed import add_location, file_observation, finish_observation, packages
from tests.stages.packed import HERE, buffered, package_files, tar_content, the_operation_says


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"package_max_files": 2}, [["1", "2"], ["3", "4"], ["5"]]),
        ({"package_max_bytes": 20}, [["1", "2"], ["3", "4"], ["5"]]),
        ({"package_max_bytes": 25}, [["1", "2"], ["3", "4"], ["5"]]),
        ({"package_max_bytes": 5}, [["1"], ["2"], ["3"], ["4"], ["5"]]),
        ({"package_max_bytes": 50}, [["1", "2", "3", "4", "5"]]),
    ],
)
def test_a_large_observation_becomes_numbered_packages_in_order_of_path(
    engine: Engine, tmp_path: Path, policy: dict[str, object], expected: list[list[str]]
) -> None:
    observatory = Observatory.build(engine, tmp_path / "observatory", **policy)
    file_observation(observatory, dict.fromkeys("35142", b"ten bytes!"))
    assert package_files(observatory).completed == len(expected)
    made = packages(engine)
    assert [package.number for package in made] == list(range(1, len(expected) + 1))
    assert [list(tar_content(observatory, package)) for package in made] == expected


def test_files_of_an_unfinished_observation_wait(observatory: Observatory) -> None:
    observation = file_observation(observatory, {"1": b"a"}, finished=False)
    package_files(observatory)
    assert observatory.operations(OperationKind.PACKAGING) == []
    finish_observation(observatory, observation)
    package_files(observatory)
    assert len(buffered(observatory)) == 1


def test_an_operation_says_why_its_package_is_made_now(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"a"})
    observatory.plan(packaging, HERE, selection=Selection(packages=("another",)))
    assert "its observation is finished" in the_operation_says(observatory)


def test_files_of_an_unfinished_observation_wait_only_so_long(observatory: Observatory) -> None:
    age = observatory.topology.policy.package_max_age_seconds
    file_observation(observatory, {"young": b"a"}, finished=False, filed_ago_seconds=age - 10)
    file_observation(observatory, {"old": b"a"}, finished=False, filed_ago_seconds=age + 1)
    package_files(observatory)
    (package,) = packages(observatory.engine)
    assert list(tar_content(observatory, package)) == ["old"]


def test_full_packages_of_an_unfinished_observation_go_and_the_rest_waits(engine: Engine, tmp_path: Path) -> None:
    observatory = Observatory.build(engine, tmp_path / "observatory", package_max_files=2)
    observation = file_observation(observatory, {"1": b"", "2": b"", "3": b""}, finished=False)
    package_files(observatory)
    assert len(packages(engine)) == 1
    file_observation(observatory, {"4": b"", "5": b""}, observation=observation)
    package_files(observatory)
    assert [list(tar_content(observatory, package)) for package in packages(engine)] == [["1", "2"], ["3", "4"], ["5"]]
    assert [package.number for package in packages(engine)] == [1, 2, 3]


def test_files_filed_after_the_end_become_a_further_package(observatory: Observatory) -> None:
    observation = file_observation(observatory, {"1": b"a"})
    package_files(observatory)
    before = (observatory.folder("ccat_buffer") / packages(observatory.engine)[0].path).read_bytes()
    file_observation(observatory, {"0": b"late"}, observation=observation)
    package_files(observatory)
    first, second = packages(observatory.engine)
    assert (second.number, tar_content(observatory, second)) == (2, {"0": b"late"})
    assert (observatory.folder("ccat_buffer") / first.path).read_bytes() == before


def test_what_one_plan_cannot_take_comes_with_the_next(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.stages.filed_groups.FILES_A_PLAN", 3)
    observatory = Observatory.build(engine, tmp_path / "observatory", package_max_files=2)
    file_observation(observatory, {str(number): b"" for number in range(7)})
    plans = 0
    while len(packages(engine)) < 4:
        observatory.plan(packaging, HERE)
        plans += 1
        assert plans < 10
    assert [package.file_count for package in packages(engine)] == [2, 2, 2, 1]


def test_a_second_plan_with_nothing_new_inserts_nothing(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"a"})
    observatory.plan(packaging, HERE)
    observatory.plan(packaging, HERE)
    package_files(observatory)
    observatory.plan(packaging, HERE)
    assert len(packages(observatory.engine)) == len(observatory.operations(OperationKind.PACKAGING)) == 1


def test_plans_at_the_same_moment_cut_each_file_once(engine: Engine, tmp_path: Path) -> None:
    observatory = Observatory.build(engine, tmp_path / "observatory", package_max_files=5)
    for _ in range(5):
        file_observation(observatory, {str(number): b"" for number in range(12)})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: observatory.plan(packaging, HERE), range(8)))
    assert sorted(package.file_count for package in packages(engine)) == [2] * 5 + [5] * 10
    with Session(engine) as session:
        assert session.scalars(select(RawDataFile.id).where(RawDataFile.raw_data_package_id.is_(None))).all() == []


def test_two_sources_of_one_observation_never_give_a_number_twice(engine: Engine, tmp_path: Path) -> None:
    observatory = Observatory.build(engine, tmp_path / "observatory", package_max_files=1)
    add_location(observatory, like=HERE, name="second")
    observation = file_observation(observatory, {str(number): b"" for number in range(20)}, finished=False)
    file_observation(
        observatory, {str(number): b"" for number in range(20, 40)}, observation=observation, source="ccat_second"
    )
    with ThreadPoolExecutor(2) as pool:
        while len(packages(engine)) < 40:
            list(pool.map(lambda name: observatory.plan(packaging, name), [HERE, "ccat_second"]))
    assert sorted(package.number for package in packages(engine)) == list(range(1, 41))


def test_a_package_whose_operation_was_cancelled_is_wanted_again(observatory: Observatory) -> None:
    file_observation(observatory, {"1": b"a"})
    observatory.plan(packaging, HERE)
    with observatory.engine.begin() as connection:
        connection.execute(text("update operation set status = 'cancelled'"))
    assert package_files(observatory).completed == 1
