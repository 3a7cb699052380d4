"""What goes straight into an archive, or is read from a far one, is held to the timetable as transfers are."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from include.lifecycle.paced import route_between
from include.ops_db.apply import apply_topology
from include.ops_db.routes import RoutePromises
from include.ops_db.states import CopyStatus
from include.routes import MovedBy, Route
from include.sandbox.s3 import S3
from include.stages import archiving, staging
from include.storage.disk import DiskStorage
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address
from include.timetable import TimetableEntry
from include.topology import OperationKind
from include.transfer import part_lines
from tests.lifecycle.archived import archived_package
from tests.stages.moved import copy_at, newest, packaged, set_status, spoil, unpacked, with_routes

MIB = 1024 * 1024
SECONDS = 2.0
"""As long as the packages here take at their rates."""


def all_week(mbit_per_second: float) -> tuple[TimetableEntry, ...]:
    return (TimetableEntry(mbit_per_second=mbit_per_second),)


def direct(origin: str, archive: str, *, mbit: float | None = None) -> Route:
    timetable = () if mbit is None else all_week(mbit)
    return Route(from_location=origin, to_location=archive, moved_by=MovedBy.DIRECT, timetable=timetable)


@contextmanager
def takes(at_least: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began >= at_least


@pytest.fixture
def promised(monkeypatch) -> set[str]:
    """Routes whose time is asked for."""
    asked: set[str] = set()
    real = RoutePromises.promise

    def promise(self: RoutePromises, seconds: float) -> float:
        asked.add(self.timetable.route.name)
        return real(self, seconds)

    monkeypatch.setattr(RoutePromises, "promise", promise)
    return asked


@pytest.fixture
def archive(observatory, tmp_path) -> Iterator[S3Storage]:
    with S3.running(tmp_path / "s3", bucket="cologne-archive") as store:
        address = S3Address(endpoint_url=store.endpoint, bucket=store.bucket, key=store.key, secret=store.secret)
        observatory.storages["cologne_archive"] = S3Storage(address, part_bytes=5 * MIB)
        yield observatory.storages["cologne_archive"]
        observatory.storages["cologne_archive"].close()


def test_a_direct_route_goes_by_its_timetable(observatory, promised):
    with_routes(observatory, direct("ccat_buffer", "cologne_archive", mbit=24), direct("cologne_archive", "us_archive"))
    (package,) = packaged(observatory, size=int(3 * MIB * SECONDS))
    with takes(at_least=SECONDS - 1):
        assert observatory.run(archiving, "cologne_archive").completed == 1
    assert promised == {"ccat_buffer to cologne_archive"}
    assert copy_at(observatory, package, "cologne_archive").verified_at is not None
    assert observatory.run(archiving, "us_archive").completed == 1
    assert promised == {"ccat_buffer to cologne_archive"}, "that way has no timetable"


@pytest.mark.slow
def test_the_parts_of_a_large_package_share_the_route(observatory, archive, monkeypatch):
    monkeypatch.setattr(part_lines, "NEAR_PARTS", 3)
    with_routes(
        observatory, direct("ccat_buffer", "cologne_archive", mbit=280), direct("cologne_archive", "us_archive")
    )
    (package,) = packaged(observatory, size=70 * MIB)
    with takes(at_least=SECONDS - 1):
        assert observatory.run(archiving, "cologne_archive").completed == 1
    assert b"".join(archive.read(package.path)) == (observatory.folder("ccat_buffer") / package.path).read_bytes()


def test_a_repair_from_another_archive_goes_by_the_timetable_between_the_sites(observatory, promised):
    (package,) = unpacked(observatory, size=int(3 * MIB * SECONDS))
    observatory.run(archiving, "cologne_archive")
    with_routes(
        observatory,
        Route(from_location="cologne_buffer", to_location="us_buffer", timetable=all_week(24)),
    )
    for place in ("ccat_buffer", "cologne_buffer"):
        (observatory.folder(place) / package.path).unlink()
        set_status(observatory, copy_at(observatory, package, place), CopyStatus.MISSING)
    with takes(at_least=SECONDS - 1):
        assert observatory.run(archiving, "us_archive").completed == 1
    assert "went from cologne_archive to us_archive" in newest(observatory, OperationKind.ARCHIVING).explanation
    assert promised == {"cologne_buffer to us_buffer"}, "with the transfers between these sites"


def test_what_is_wrong_or_gone_at_the_far_side_is_found_as_without_a_timetable(observatory):
    routes = direct("ccat_buffer", "cologne_archive", mbit=800), direct("cologne_archive", "us_archive")
    with_routes(observatory, *routes)
    corrupt, short, gone = packaged(observatory, count=3)
    spoil(observatory, corrupt, "ccat_buffer")
    path = observatory.folder("ccat_buffer") / short.path
    path.write_bytes(path.read_bytes()[:-1000])
    (observatory.folder("ccat_buffer") / gone.path).unlink()
    assert observatory.run(archiving, "cologne_archive").later == 3
    statuses = [copy_at(observatory, package, "ccat_buffer").status for package in (corrupt, short, gone)]
    assert statuses == [CopyStatus.CORRUPT, CopyStatus.CORRUPT, CopyStatus.MISSING]


def test_a_change_of_the_timetable_holds_at_once(observatory, monkeypatch):
    monkeypatch.setattr("include.lifecycle.paced.EVERY_SECONDS", 0.1)
    routes = direct("ccat_buffer", "cologne_archive", mbit=4), direct("cologne_archive", "us_archive")
    with_routes(observatory, *routes)
    packaged(observatory, size=16 * MIB)

    class Changes(DiskStorage):
        """The topology is applied anew when a byte has been read; at 4 Mbit/s the rest takes half a minute."""

        changed = False

        def read(self, path, *, offset=0, length=None):
            yield from super().read(path, offset=offset, length=length)
            if not Changes.changed:
                Changes.changed = True
                freed = observatory.topology.model_copy(update={"routes": (direct("ccat_buffer", "cologne_archive"),)})
                with Session(observatory.engine) as session, session.begin():
                    apply_topology(session, freed, applied_by="tests")

    observatory.storages["ccat_buffer"] = Changes(observatory.folder("ccat_buffer"))
    (batch,) = observatory.plan(archiving, "cologne_archive").batches
    began = time.monotonic()
    assert observatory.runner(archiving, "cologne_archive").run(batch).completed == 1
    assert time.monotonic() - began < 20


def test_staging_from_a_far_archive_goes_by_the_timetable_between_the_sites(observatory, promised):
    with_routes(observatory, Route(from_location="us_buffer", to_location="cologne_buffer", timetable=all_week(80)))
    package = archived_package(observatory)
    package.change_copy("cologne_archive", status=CopyStatus.MISSING)
    package.staging_job(until=datetime.now(UTC) + timedelta(hours=1))
    assert observatory.run(staging, "cologne_processing").completed == 1
    assert promised == {"us_buffer to cologne_buffer"}


def test_within_a_site_nothing_is_paced(observatory):
    routes = (Route(from_location="ccat_buffer", to_location="cologne_buffer", timetable=all_week(10)),)
    topology = observatory.topology.model_copy(update={"routes": routes})
    assert route_between(topology, origin="cologne_buffer", destination="cologne_archive") is None
    assert route_between(topology, origin="us_archive", destination="cologne_archive") is None
    assert route_between(topology, origin="ccat_buffer", destination="cologne_archive") == routes[0]


def test_the_route_itself_comes_before_others_between_the_sites_but_not_without_a_timetable(observatory):
    timed = Route(from_location="cologne_buffer", to_location="us_buffer", timetable=all_week(10))
    plain, own = direct("cologne_archive", "us_archive"), direct("cologne_archive", "us_archive", mbit=20)
    for routes, first in (((timed, plain), timed), ((timed, own), own), ((plain,), plain)):
        topology = observatory.topology.model_copy(update={"routes": routes})
        assert route_between(topology, origin="cologne_archive", destination="us_archive") == first
