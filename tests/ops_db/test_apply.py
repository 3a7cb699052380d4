"""Applying a topology to ops-db."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from include.errors import TopologyError
from include.ops_db.apply import Applied, apply_topology
from include.ops_db.places import applied_topology, location_id, location_ids, require_applied
from include.topology import LocationType, Topology
from tests.observatory import sandbox_topology


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    return sandbox_topology(tmp_path)


def apply(engine: Engine, topology: Topology, *, moved: tuple[str, ...] = ()) -> Applied:
    with Session(engine) as session, session.begin():
        return apply_topology(session, topology, applied_by="Ada", moved=moved)


def rows(engine: Engine, sql: str) -> list:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def without(topology: Topology, full_name: str) -> Topology:
    kept = tuple(location for location in topology.data_locations if location.full_name != full_name)
    return topology.model_copy(update={"data_locations": kept})


def retyped(topology: Topology, full_name: str) -> Topology:
    changed = tuple(
        location.model_copy(update={"location_type": LocationType.BUFFER})
        if location.full_name == full_name
        else location
        for location in topology.data_locations
    )
    return Topology.model_validate(topology.model_dump() | {"data_locations": [c.model_dump() for c in changed]})


def put_copy(engine: Engine, full_name: str, *, status: str = "present") -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                """
                insert into executed_obs_unit (id, instrument_id, started_at)
                  select gen_random_uuid(), min(id), now() from instrument;
                insert into raw_data_package (name, executed_obs_unit_id, instrument_module_id, source_location_id,
                  number, path, file_count, content_bytes)
                  select 'p', (select id from executed_obs_unit), min(id), 1, 1, 'p', 1, 1 from instrument_module;
                """
            )
        )
        connection.execute(
            text(
                "insert into physical_copy (raw_data_package_id, data_location_id, path, size_bytes, status)"
                " select p.id, l.id, 'p', 1, :status from raw_data_package p, data_location l where full_name = :name"
            ),
            {"status": status, "name": full_name},
        )


def test_everything_in_the_file_becomes_a_row(engine: Engine, topology: Topology) -> None:
    assert apply(engine, topology).changed
    assert {row[0] for row in rows(engine, "select short_name from site")} == {"ccat", "cologne", "us"}
    assert ("cologne_archive", "long_term_archive", "s3", True) in rows(
        engine, "select full_name, location_type, storage_type, active from data_location"
    )
    assert len(rows(engine, "select from data_location")) == 7
    modules = "select i.name, m.name from instrument_module m join instrument i on i.id = m.instrument_id"
    assert set(rows(engine, modules)) == {
        ("primecam", "mod280"),
        ("primecam", "mod350"),
        ("primecam", "eorspec"),
        ("chai", "lfa"),
        ("chai", "hfa"),
    }
    assert rows(engine, "select sha256, applied_by, document #>> '{policy,attempts_max}' from topology_version") == [
        (topology.sha256, "Ada", "8")
    ]


def test_applying_the_same_again_changes_nothing(engine: Engine, topology: Topology) -> None:
    first = apply(engine, topology)
    assert apply(engine, topology) == Applied(first.version_id, changed=False)
    assert len(rows(engine, "select from topology_version")) == 1


def test_ids_of_places_stay_when_a_topology_changes(engine: Engine, topology: Topology, tmp_path: Path) -> None:
    apply(engine, topology)
    with Session(engine) as session:
        before = location_ids(session)
    assert apply(engine, sandbox_topology(tmp_path, attempts_max=3)).changed
    with Session(engine) as session:
        assert location_ids(session) == before
    assert len(rows(engine, "select from topology_version")) == 2


def test_many_that_apply_the_same_at_once_make_one_version(engine: Engine, topology: Topology) -> None:
    gate = threading.Barrier(8)

    def compete(_: int) -> Applied:
        gate.wait()
        return apply(engine, topology)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(compete, range(8)))
    assert sum(result.changed for result in results) == 1
    assert len({result.version_id for result in results}) == 1


def test_many_that_apply_different_ones_at_once_come_one_after_the_other(engine: Engine, tmp_path: Path) -> None:
    topologies = [sandbox_topology(tmp_path, attempts_max=number) for number in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda topology: apply(engine, topology), topologies))
    assert len({result.version_id for result in results}) == 8
    newest = max(result.version_id for result in results)
    with Session(engine) as session:
        applied = applied_topology(session)
    assert applied is not None
    assert applied.version_id == newest
    assert applied.sha256 == topologies[[result.version_id for result in results].index(newest)].sha256


def test_a_location_that_holds_copies_cannot_leave(engine: Engine, topology: Topology) -> None:
    apply(engine, topology)
    put_copy(engine, "cologne_processing")
    with pytest.raises(TopologyError, match="cologne_processing still holds 1 copy and cannot leave"):
        apply(engine, without(topology, "cologne_processing"))
    assert len(rows(engine, "select from topology_version")) == 1
    assert rows(engine, "select full_name from data_location where not active") == []


@pytest.mark.parametrize("status", ["corrupt", "deletion_in_progress", "deletion_failed", "staged"])
def test_whatever_may_still_have_bytes_counts_as_a_copy(engine: Engine, topology: Topology, status: str) -> None:
    apply(engine, topology)
    put_copy(engine, "cologne_processing", status=status)
    with pytest.raises(TopologyError):
        apply(engine, without(topology, "cologne_processing"))


@pytest.mark.parametrize("status", ["deleted", "missing"])
def test_a_location_that_is_empty_may_leave_and_come_back(engine: Engine, topology: Topology, status: str) -> None:
    apply(engine, topology)
    put_copy(engine, "cologne_processing", status=status)
    apply(engine, without(topology, "cologne_processing"))
    assert rows(engine, "select full_name from data_location where not active") == [("cologne_processing",)]
    apply(engine, topology)
    assert rows(engine, "select full_name from data_location where not active") == []


def test_a_location_that_holds_copies_cannot_become_something_else(engine: Engine, topology: Topology) -> None:
    apply(engine, topology)
    put_copy(engine, "cologne_processing")
    with pytest.raises(TopologyError, match="cannot become a buffer on disk"):
        apply(engine, retyped(topology, "cologne_processing"))


def test_an_empty_location_may_become_something_else(engine: Engine, topology: Topology) -> None:
    apply(engine, topology)
    apply(engine, retyped(topology, "cologne_processing"))
    sql = "select location_type from data_location where full_name = 'cologne_processing'"
    assert rows(engine, sql) == [("buffer",)]


def test_before_the_first_one_nothing_is_applied(engine: Engine, topology: Topology) -> None:
    with Session(engine) as session:
        assert applied_topology(session) is None
        with pytest.raises(TopologyError, match="No topology was applied"):
            require_applied(session, topology)
        with pytest.raises(TopologyError, match="does not know the location ccat_buffer"):
            location_id(session, "ccat_buffer")


def test_another_than_the_applied_one_is_named_with_it(engine: Engine, topology: Topology, tmp_path: Path) -> None:
    version = apply(engine, topology).version_id
    other = sandbox_topology(tmp_path, attempts_max=3)
    with Session(engine) as session:
        assert require_applied(session, topology).version_id == version
        with pytest.raises(TopologyError, match=f"{other.sha256[:12]}.*{topology.sha256[:12]}.*version {version}"):
            require_applied(session, other)


def elsewhere(topology: Topology, full_name: str, **changes: str) -> Topology:
    """The same with another root or bucket for one location."""
    document = topology.model_dump()
    for location in document["data_locations"]:
        if f"{location['site']}_{location['name']}" == full_name:
            location["storage"] |= changes
    return Topology.model_validate(document)


PLACES = pytest.mark.parametrize(
    ("full_name", "changes"), [("us_buffer", {"root": "/new/disk"}), ("us_archive", {"bucket": "another-bucket"})]
)


@PLACES
def test_a_location_that_holds_copies_is_not_looked_for_elsewhere(
    engine: Engine, topology: Topology, full_name: str, changes: dict[str, str]
) -> None:
    apply(engine, topology)
    put_copy(engine, full_name)
    there = elsewhere(topology, full_name, **changes)
    with pytest.raises(TopologyError, match=rf"{full_name} still holds 1 copy below .*{next(iter(changes.values()))}"):
        apply(engine, there)
    with pytest.raises(TopologyError, match=f"--moved {full_name}"):
        apply(engine, there, moved=("cologne_buffer",))
    assert apply(engine, there, moved=(full_name,)).changed
    assert not apply(engine, there).changed


@PLACES
@pytest.mark.parametrize("status", ["deleted", "missing", None])
def test_one_that_holds_none_may_be_anywhere(
    engine: Engine, topology: Topology, full_name: str, changes: dict[str, str], status: str | None
) -> None:
    apply(engine, topology)
    if status is not None:
        put_copy(engine, full_name, status=status)
    assert apply(engine, elsewhere(topology, full_name, **changes)).changed


def test_a_slash_at_the_end_of_a_root_is_no_other_place(engine: Engine, topology: Topology) -> None:
    apply(engine, topology)
    put_copy(engine, "us_buffer")
    storage = topology.location("us_buffer").storage
    assert storage.type == "disk"
    assert apply(engine, elsewhere(topology, "us_buffer", root=f"{storage.root}/")).changed


def test_a_location_that_is_said_to_have_moved_must_be_one(engine: Engine, topology: Topology) -> None:
    with pytest.raises(TopologyError, match="no location 'us_bufer' that could have moved: use one of .*us_buffer"):
        apply(engine, topology, moved=("us_bufer",))
