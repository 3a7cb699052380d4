"""Archiving on a real S3 store: what is recorded is what was read back."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from include.errors import TransientError
from include.explain.routes import explain_route
from include.integrity.checksum import checksum_of
from include.integrity.manifest import PackageManifest
from include.lifecycle.quarantine import MOST_KEPT
from include.metadata.sidecar import Sidecar, sidecar_key
from include.operations.record import reset
from include.ops_db.manifests import load_manifest
from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.ops_db.tables import DataTransferRoute, ExecutedObsUnit, RawDataPackage, TransferDecision
from include.sandbox.s3 import S3
from include.stages import archiving, bundling, into_archive, transfer, unpacking
from include.storage.interface import Chunk
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address
from include.topology import MovedBy, OperationKind, Route
from include.transfer import part_lines, upload
from include.transfer.adapt import Decision
from include.transfer.pulled import nothing
from tests.observatory import Observatory
from tests.stages.filed import STARTED_AT, packages
from tests.stages.moved import DESTINATION, bundled, copy_at, newest, packaged, set_status, spoil, unpacked, with_routes

KIND = OperationKind.ARCHIVING
HERE = "cologne_archive"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with S3.running(tmp_path_factory.mktemp("s3"), bucket="cologne-archive") as store:
        yield store


def address(store: S3) -> S3Address:
    return S3Address(endpoint_url=store.endpoint, bucket=store.bucket, key=store.key, secret=store.secret)


class Watched(S3Storage):
    """Notes what is written; `damage` flips a byte of what was written behind the store's back."""

    damage = 0

    def __init__(self, store: S3) -> None:
        super().__init__(address(store), part_bytes=5 * MIB)
        self.written: list[str] = []
        self._store = store

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        super().write(path, chunks, size_bytes=size_bytes)
        self.written.append(path)
        if self.damage:
            self.damage -= 1
            flip(self.file(path))

    def copy(self, path: str, to: str) -> bool:
        self.written.append(to)
        return super().copy(path, to)

    def file(self, path: str) -> Path:
        return self._store.folder / "store" / self._store.bucket / path


def flip(path: Path, at: int = 700) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture
def archive(observatory: Observatory, store: S3) -> Iterator[Watched]:
    archive = Watched(store)
    observatory.storages[HERE] = archive
    yield archive
    archive.close()


def content(archive: Watched, path: str) -> bytes:
    return b"".join(archive.read(path))


def package_now(observatory: Observatory, package: RawDataPackage) -> RawDataPackage:
    return next(row for row in packages(observatory.engine) if row.id == package.id)


def test_a_verified_package_is_archived_verified_and_described(observatory, archive):
    (package,) = unpacked(observatory)
    assert observatory.run(archiving, HERE).completed == 1
    stored = content(archive, package.path)
    assert checksum_of([stored]) == package.checksum
    copy = copy_at(observatory, package, HERE)
    assert (copy.status, copy.checksum, copy.path) == (CopyStatus.PRESENT, package.checksum, package.path)
    assert copy.size_bytes == package.size_bytes
    assert copy.verified_at is not None
    row = package_now(observatory, package)
    assert row.state is PackageState.ARCHIVED
    assert row.archived_at is not None
    done = newest(observatory, KIND)
    assert "went from cologne_buffer to cologne_archive, was read back and verified" in done.explanation
    assert observatory.plan(archiving, HERE).batches == []


def test_a_package_of_several_parts_is_archived(observatory, archive):
    (package,) = unpacked(observatory, size=12 * MIB)
    observatory.run(archiving, HERE)
    assert package.size_bytes > 2 * 5 * MIB
    assert checksum_of([content(archive, package.path)]) == package.checksum


def test_the_sidecar_says_where_every_file_lies_and_how_to_check_it(observatory, archive):
    (package,) = unpacked(observatory)
    observatory.run(archiving, HERE)
    sidecar = Sidecar.model_validate_json(content(archive, sidecar_key(package.path)))
    stored = content(archive, package.path)
    with Session(observatory.engine) as session:
        assert sidecar.manifest == load_manifest(session, package.id)
    assert sidecar.manifest.checksum == checksum_of([stored])
    with tarfile.open(fileobj=io.BytesIO(stored)) as tar:
        members = tar.getmembers()
    assert [member.path for member in sidecar.manifest.members] == [member.name for member in members]
    for member in sidecar.manifest.members:
        assert checksum_of([stored[member.offset_bytes : member.end_bytes]]) == member.checksum
    assert (sidecar.instrument, sidecar.instrument_module, sidecar.number) == ("primecam", "mod280", 1)


def test_the_sidecar_has_the_obscore_fields_of_the_observation(observatory, archive):
    (package,) = packaged(observatory)
    with Session(observatory.engine) as session, session.begin():
        session.execute(update(ExecutedObsUnit).values(finished_at=STARTED_AT + timedelta(hours=6)))
    bundled(observatory, [package])
    observatory.run(transfer, DESTINATION)
    observatory.run(unpacking, DESTINATION)
    observatory.run(archiving, HERE)
    fields = json.loads(content(archive, sidecar_key(package.path)))["obscore"]
    assert fields["obs_id"] == str(package.executed_obs_unit_id)
    assert fields["obs_publisher_did"] == f"ivo://ccat/raw?{package.name}"
    assert fields["access_url"] == f"s3://cologne-archive/{package.path}"
    assert fields["access_estsize"] == -(-package.size_bytes // 1000)
    assert fields["t_max"] - fields["t_min"] == pytest.approx(0.25, abs=1e-9)
    assert fields["t_exptime"] == 6 * 3600
    assert (fields["facility_name"], fields["instrument_name"], fields["calib_level"]) == ("FYST", "primecam", 0)
    assert fields["target_name"] is None


def test_only_verified_copies_in_a_buffer_of_the_same_site_are_planned(observatory, archive):
    (package,) = packaged(observatory)
    assert observatory.plan(archiving, HERE).batches == [], "it is only in the ccat buffer"
    bundled(observatory, [package])
    observatory.run(transfer, DESTINATION)
    assert observatory.plan(archiving, HERE).batches == [], "it is not verified here"
    observatory.run(unpacking, DESTINATION)
    assert observatory.plan(archiving, "us_archive").batches == [], "it is at another site"
    assert len(observatory.plan(archiving, HERE).batches) == 1
    observatory.plan(archiving, HERE)
    (wanted,) = observatory.operations(KIND)
    assert wanted.size_bytes == package.size_bytes


def test_an_object_that_is_there_already_is_read_back_instead_of_uploaded(observatory, archive):
    (package,) = unpacked(observatory)
    S3Storage.write(archive, package.path, [(observatory.folder(DESTINATION) / package.path).read_bytes()])
    assert observatory.run(archiving, HERE).completed == 1
    assert archive.written == [sidecar_key(package.path)]
    assert "was in cologne_archive already" in newest(observatory, KIND).explanation
    assert copy_at(observatory, package, HERE).verified_at is not None


@pytest.mark.parametrize("same_size", [True, False])
def test_a_wrong_object_that_is_there_already_is_not_believed_and_is_kept_aside(observatory, archive, same_size):
    (package,) = unpacked(observatory)
    wrong = bytes(package.size_bytes if same_size else 5)
    S3Storage.write(archive, package.path, [wrong])
    assert observatory.run(archiving, HERE).completed == 1
    kept, *written = archive.written
    assert written == [package.path, sidecar_key(package.path)]
    assert kept.startswith("quarantine/")
    assert kept.endswith(f"-operation-{newest(observatory, KIND).id}-1/{package.path}")
    assert content(archive, kept) == wrong
    assert f"kept as {kept}" in newest(observatory, KIND).explanation
    assert checksum_of([content(archive, package.path)]) == package.checksum


def quarantined(archive: Watched, path: str) -> list[str]:
    return [found.path for found in archive.list("quarantine") if found.path.endswith(path)]


def test_a_wrong_object_is_kept_once_however_often_it_cannot_be_replaced(observatory, archive, monkeypatch):
    (package,) = unpacked(observatory)
    S3Storage.write(archive, package.path, [b"wrong"])
    with monkeypatch.context() as cut:
        cut.setattr(archive, "write", lambda *_, **__: raise_(TransientError("the link is cut")))
        for _ in range(3):
            assert observatory.run(archiving, HERE).later == 1
            begin_again(observatory)
    assert observatory.run(archiving, HERE).completed == 1
    (kept,) = quarantined(archive, package.path)
    assert f"kept as {kept}" in newest(observatory, KIND).explanation
    assert content(archive, kept) == b"wrong"


def test_a_store_that_damages_all_it_is_sent_is_not_filled_with_the_proof(observatory, archive):
    (package,) = unpacked(observatory)
    archive.damage = 99
    for _ in range(MOST_KEPT + 3):
        assert len(observatory.run(archiving, HERE).failed) == 1
        begin_again(observatory)
    assert 1 <= len(quarantined(archive, package.path)) <= MOST_KEPT
    archive.damage = 0
    assert observatory.run(archiving, HERE).completed == 1
    assert checksum_of([content(archive, package.path)]) == package.checksum


def test_what_is_put_aside_in_an_archive_does_not_come_over_the_link(observatory, archive, monkeypatch):
    (package,) = unpacked(observatory)
    S3Storage.write(archive, package.path, [b"wrong"])
    monkeypatch.setattr(archive, "read", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(pytest.fail.Exception, match="it was read"):  # once a good object is there, it is read back
        observatory.run(archiving, HERE)
    monkeypatch.undo()
    assert len(quarantined(archive, package.path)) == 1


def begin_again(observatory: Observatory) -> None:
    reset(observatory.engine, operation_ids=[newest(observatory, KIND).id], person="somebody", reason="once more")


def raise_(error: Exception) -> None:
    raise error


def test_an_archive_that_gives_back_other_bytes_gets_no_copy_recorded(observatory, archive):
    (package,) = unpacked(observatory)
    archive.damage = 1
    assert len(observatory.run(archiving, HERE).failed) == 1
    failed = newest(observatory, KIND)
    assert f"{package.path} in cologne_archive, read back, has checksum" in failed.explanation
    assert copy_at(observatory, package, HERE) is None
    assert archive.stat(sidecar_key(package.path)) is None
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.PRESENT
    row = package_now(observatory, package)
    assert (row.state, row.archived_at) == (PackageState.WAITING, None)

    reset(observatory.engine, operation_ids=[failed.id], person="somebody", reason="the store was mended")
    assert observatory.run(archiving, HERE).completed == 1
    assert checksum_of([content(archive, package.path)]) == package.checksum


def test_a_source_copy_that_changed_is_marked_corrupt_and_makes_no_object(observatory, archive):
    (package,) = unpacked(observatory)
    spoil(observatory, package, DESTINATION)
    assert observatory.run(archiving, HERE).later == 1
    waiting = newest(observatory, KIND)
    assert f"{package.path} in cologne_buffer has checksum" in waiting.explanation
    assert "marked corrupt" in waiting.explanation
    assert "comes again from where a good copy is" in waiting.explanation
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.CORRUPT
    assert archive.stat(package.path) is None
    assert copy_at(observatory, package, HERE) is None


def test_a_source_copy_that_is_gone_is_marked_missing(observatory, archive):
    (package,) = unpacked(observatory)
    (observatory.folder(DESTINATION) / package.path).unlink()
    assert observatory.run(archiving, HERE).later == 1
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.MISSING


def test_a_corrupt_archive_copy_is_planned_again_and_repaired_from_the_buffer(observatory, archive):
    (package,) = unpacked(observatory)
    observatory.run(archiving, HERE)
    archived_at = package_now(observatory, package).archived_at
    flip(archive.file(package.path))
    set_status(observatory, copy_at(observatory, package, HERE), CopyStatus.CORRUPT)
    assert observatory.run(archiving, HERE).completed == 1
    assert copy_at(observatory, package, HERE).status is CopyStatus.PRESENT
    assert checksum_of([content(archive, package.path)]) == package.checksum
    assert package_now(observatory, package).archived_at == archived_at, "the first archive is what counts"


def test_the_second_archive_changes_nothing_about_when_it_was_archived(observatory, archive):
    (package,) = unpacked(observatory)
    observatory.run(archiving, HERE)
    archived_at = package_now(observatory, package).archived_at
    bundled(observatory, [package], origin="cologne_buffer", destination="us_buffer")
    observatory.run(transfer, "us_buffer")
    observatory.run(unpacking, "us_buffer")
    assert observatory.run(archiving, "us_archive").completed == 1
    assert copy_at(observatory, package, "us_archive").verified_at is not None
    assert package_now(observatory, package).archived_at == archived_at


def test_running_it_twice_records_it_once(observatory, archive):
    unpacked(observatory)
    (batch,) = observatory.plan(archiving, HERE).batches
    assert observatory.runner(archiving, HERE).run(batch).completed == 1
    assert observatory.runner(archiving, HERE, run_id="cleared").run(batch).passed_over == 1
    assert newest(observatory, KIND).status is WorkStatus.COMPLETED


def test_the_manifest_in_the_sidecar_is_one_that_packaging_would_read(observatory, archive):
    (package,) = unpacked(observatory)
    observatory.run(archiving, HERE)
    raw = json.loads(content(archive, sidecar_key(package.path)))["manifest"]
    assert PackageManifest.from_json(json.dumps(raw)).name == package.name


def test_a_large_package_goes_by_parts_and_a_cut_off_upload_goes_on(observatory, archive, monkeypatch):
    (package,) = unpacked(observatory, size=140 * MIB)
    sent: list[int] = []
    real = upload.Upload.send

    def cut(self, part):
        if sent:
            raise TransientError("the link is cut")
        sent.append(part.number)
        return real(self, part)

    monkeypatch.setattr(part_lines, "NEAR_PARTS", 1)
    monkeypatch.setattr(upload.Upload, "send", cut)
    assert observatory.run(archiving, HERE).later
    monkeypatch.setattr(upload.Upload, "send", real)
    reset(observatory.engine, operation_ids=[newest(observatory, KIND).id], person="somebody", reason="it is mended")
    read: list[int] = []
    monkeypatch.setattr(upload.Upload, "send", lambda self, part: read.append(part.number) or real(self, part))
    assert observatory.run(archiving, HERE).completed == 1
    assert sent == [1]
    assert read == [2, 3]
    assert checksum_of([content(archive, package.path)]) == package.checksum


def test_what_a_direct_route_decides_is_kept_told_and_remembered(observatory, archive, monkeypatch):
    direct(observatory, ("ccat_buffer", HERE), (HERE, "us_archive"))
    packaged(observatory, count=2, size=70 * MIB)
    begun, real = [], into_archive.put

    def put(*args, terms, **keys):
        begun.append(terms.remembered_streams)
        terms.on_decision(Decision(9, "9 connections: so many were of use."))
        terms.on_decision(Decision(13, "13 are tried.", is_a_try=True))
        if len(begun) == 2:
            raise TransientError("the link is cut")
        return real(*args, terms=replace(terms, on_decision=nothing), **keys)

    monkeypatch.setattr(into_archive, "put", put)
    observatory.run(archiving, HERE)
    assert begun == [None, 9]
    with Session(observatory.engine) as session:
        way = session.scalars(select(DataTransferRoute)).one()
        kept = list(session.scalars(select(TransferDecision).order_by(TransferDecision.id)))
        assert way.streams == 9
        assert [one.why for one in kept] == ["9 connections: so many were of use.", "13 are tried."] * 2
        waiting = newest(observatory, KIND)
        told = explain_route(session.connection(), operation_id=waiting.id, data_transfer_id=None)
        assert told is not None
        assert "Route ccat_buffer to cologne_archive: sent directly, as fast as the link gives" in told.sentence
        assert told.sentence.endswith("the last transfer used 9 connections.")
        assert [one.why for one in told.decisions][-1] == "13 are tried."
        assert explain_route(session.connection(), operation_id=0, data_transfer_id=None) is None


def test_a_large_source_copy_that_changed_is_marked_corrupt(observatory, archive):
    (package,) = unpacked(observatory, size=70 * MIB)
    spoil(observatory, package, DESTINATION, at=66 * MIB)
    observatory.run(archiving, HERE)
    assert copy_at(observatory, package, DESTINATION).status is CopyStatus.CORRUPT
    assert "block 1 (bytes" in newest(observatory, KIND).explanation
    assert archive.stat(package.path) is None


def direct(observatory: Observatory, *ways: tuple[str, str]) -> None:
    routes = (Route(from_location=origin, to_location=archive, moved_by=MovedBy.DIRECT) for origin, archive in ways)
    with_routes(observatory, *routes)


def test_a_direct_route_takes_a_package_from_its_buffer_and_no_bundle_is_made(observatory, archive):
    direct(observatory, ("ccat_buffer", HERE), (HERE, "us_archive"))
    (package,) = packaged(observatory)
    assert observatory.plan(bundling, "ccat_buffer").batches == []
    assert observatory.operations(OperationKind.BUNDLING) == []
    assert observatory.run(archiving, HERE).completed == 1
    assert "went from ccat_buffer to cologne_archive" in newest(observatory, KIND).explanation
    assert checksum_of([content(archive, package.path)]) == package.checksum
    assert package_now(observatory, package).state is PackageState.ARCHIVED
    assert observatory.run(archiving, "us_archive").completed == 1
    assert "went from cologne_archive to us_archive" in newest(observatory, KIND).explanation
    assert copy_at(observatory, package, "us_archive").verified_at is not None
    assert observatory.plan(archiving, HERE).batches == []
    assert observatory.plan(archiving, "us_archive").batches == []


def test_a_direct_route_between_archives_waits_until_the_first_has_the_package(observatory, archive):
    direct(observatory, ("ccat_buffer", HERE), (HERE, "us_archive"))
    packaged(observatory)
    assert observatory.plan(archiving, "us_archive").batches == []


def test_a_bad_copy_that_a_direct_route_meets_is_marked_and_makes_no_object(observatory, archive):
    direct(observatory, ("ccat_buffer", HERE), (HERE, "us_archive"))
    (package,) = packaged(observatory)
    spoil(observatory, package, "ccat_buffer")
    observatory.run(archiving, HERE)
    assert copy_at(observatory, package, "ccat_buffer").status is CopyStatus.CORRUPT
    assert archive.stat(package.path) is None
    assert copy_at(observatory, package, HERE) is None


def test_a_direct_route_from_a_buffer_with_an_archive_replaces_its_secondary_transfer(observatory, archive):
    direct(observatory, (DESTINATION, "us_archive"))
    (package,) = unpacked(observatory)
    assert observatory.plan(bundling, DESTINATION).batches == []
    assert observatory.run(archiving, "us_archive").completed == 1
    assert "went from cologne_buffer to us_archive" in newest(observatory, KIND).explanation
    assert copy_at(observatory, package, "us_archive").verified_at is not None
