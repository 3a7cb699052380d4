"""Nothing is written that is not in the catalogue, and the number of series has a bound."""

from datetime import UTC, datetime, timedelta

import pytest
from influxdb_client import Point as Theirs

from include.health.heartbeat import beat, look
from include.health.reach import Reach
from include.metrics.attempts import Mark, ended, settled_at
from include.metrics.catalogue import CATALOGUE, Tag, most_series
from include.metrics.export import FIRST_DAYS
from include.metrics.exposition import exposed
from include.metrics.links import carried, first_window
from include.metrics.point import Point
from include.metrics.sample import sample, standing
from include.ops_db.measurements import Seen, record
from include.ops_db.states import AttemptOutcome
from include.topology import OperationKind
from tests.lifecycle.archived import Archived, archived_package
from tests.metrics.done import attempts, transfer
from tests.observatory import Observatory, now


@pytest.fixture
def package(observatory: Observatory) -> Archived:
    return archived_package(observatory)


def everything(observatory: Observatory) -> list[Point]:
    with observatory.engine.begin() as connection:
        start = now() - timedelta(hours=2)
        transfer(connection, begun=start, ended=start + timedelta(minutes=5), size_bytes=7)
        for location in observatory.topology.data_locations:
            record(connection, Seen(total_bytes=100, used_bytes=5), full_name=location.full_name, host="h")
        for host in observatory.topology.hosts:
            said = look(host=host.name, topology=observatory.topology, queues=["q"], running_seconds=1, reach=Reach())
            beat(connection, said)
    with observatory.engine.connect() as connection:
        week_ago = Mark(at=now() - timedelta(days=FIRST_DAYS))
        done, _, _ = ended(connection, after=week_ago, settled=settled_at(connection), most=10_000)
        links = carried(
            connection, after=first_window(now()) - timedelta(hours=3), windows=40, topology=observatory.topology
        )
        stand = sample(connection, topology=observatory.topology, now=now())
        return [*done, *links, *stand]


def test_every_measurement_is_written_with_the_tags_and_fields_of_the_catalogue(
    observatory: Observatory, package: Archived
) -> None:
    attempts(package)
    points = everything(observatory)
    written = {point.measurement for point in points}
    assert written == set(CATALOGUE)
    for point in points:
        measurement = CATALOGUE[point.measurement]
        assert set(point.tags) == set(measurement.tags)
        assert set(point.fields) == set(measurement.fields)


def test_the_number_of_series_has_a_bound_however_much_is_done(observatory: Observatory, package: Archived) -> None:
    """Ids, names of packages and people, and sentences are in no tag."""
    allowed = {
        Tag.STAGE: {kind.value for kind in OperationKind},
        Tag.SITE: {site.short_name for site in observatory.topology.sites},
        Tag.LOCATION: {location.full_name for location in observatory.topology.data_locations},
        Tag.LOCATION_TYPE: {location.location_type.value for location in observatory.topology.data_locations},
        Tag.INSTRUMENT: {"primecam", "chai", "several"},
        Tag.OUTCOME: {outcome.value for outcome in AttemptOutcome},
        Tag.COPY: {"first", "second", "further"},
        Tag.HOST: {host.name for host in observatory.topology.hosts},
    }
    for outcome in AttemptOutcome:
        attempts(package, 40, outcome=outcome)
        archived_package(observatory)
    few = {(point.measurement, *point.known_tags.items()) for point in everything(observatory)}
    for _ in range(5):
        attempts(archived_package(observatory), 50)
    more = {(point.measurement, *point.known_tags.items()) for point in everything(observatory)}
    assert more == few
    assert len(few) < most_series(observatory.topology) < 25_000
    locations = allowed[Tag.LOCATION]
    allowed[Tag.ROUTE] = {f"{origin} to {destination}" for origin in locations for destination in locations}
    for _, *tags in few:
        for name, value in tags:
            assert value in allowed[Tag(name)], f"{name}={value}"


def test_the_line_protocol_is_that_of_influxdb() -> None:
    at = datetime(2026, 4, 1, 3, 20, 0, 123456, tzinfo=UTC)
    ours = Point(
        measurement="m",
        tags={"route": "a_b to c,d", "odd": "x=y", "none": None},
        fields={"size_bytes": 5, "seconds": 0.1, "small": 1e-9, "large": 1e22, "unknown": None},
        at=at,
        nanosecond=7,
    )
    theirs = (
        Theirs("m")
        .tag("route", "a_b to c,d")
        .tag("odd", "x=y")
        .field("size_bytes", 5)
        .field("seconds", 0.1)
        .field("small", 1e-9)
        .field("large", 1e22)
        .time(ours.nanoseconds)
    )
    name, fields, time = ours.line().rsplit(" ", 2)
    their_name, their_fields, their_time = theirs.to_line_protocol().rsplit(" ", 2)
    assert (name, time) == (their_name, their_time)
    assert sorted(fields.split(",")) == sorted(their_fields.split(","))
    assert ours.nanoseconds == 1775013600123456007


def test_a_field_is_always_of_one_type(observatory: Observatory, package: Archived) -> None:
    """InfluxDB refuses an int where it has had a float."""
    attempts(package)
    attempts(package, seconds=1, size_bytes=0)
    types: dict[tuple[str, str], set[type]] = {}
    for point in everything(observatory):
        for name, value in point.known_fields.items():
            types.setdefault((point.measurement, name), set()).add(type(value))
    assert {key: found for key, found in types.items() if len(found) > 1} == {}


def test_scrapers_get_the_same_as_gauges(observatory: Observatory) -> None:
    with observatory.engine.connect() as connection:
        lines = exposed(standing(connection, topology=observatory.topology, now=now())).splitlines()
    assert "# TYPE dts_lane_pending gauge" in lines
    assert 'dts_lane_pending{location="us_archive",site="us",stage="archiving"} 0' in lines
    assert any(line.startswith("dts_system_ops_db_bytes{} ") for line in lines)
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
