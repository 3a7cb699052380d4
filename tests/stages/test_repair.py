"""Whatever is found damaged or gone is repaired from what is good, by the stages alone; a person comes last."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.cli.status import LIVE
from include.explain.next_step import what_comes_next
from include.explain.packages import explain_package
from include.integrity.checksum import checksum_of
from include.operations.planning import NewOperation, want
from include.operations.record import reset
from include.ops_db.states import CopyStatus, PackageState, WorkStatus
from include.ops_db.tables import RawDataPackage
from include.sandbox.s3 import S3
from include.sandbox.sftp import Implementation, Sftp, default_implementation
from include.stages import archiving, bundling, packaging, scrubbing, transfer, unpacking
from include.storage.s3 import S3Storage
from include.storage.s3_client import S3Address
from include.storage.sftp import SftpStorage
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.filed import files_below, packages
from tests.stages.moved import copy_at, newest, packaged, set_status, spoil
from tests.storage.conftest import sftp_address

BUFFERS = ("ccat_buffer", "cologne_buffer", "us_buffer")
ARCHIVES = ("cologne_archive", "us_archive")
PIPELINE = (
    (packaging, "ccat_source"),
    (bundling, "ccat_buffer"),
    (transfer, "cologne_buffer"),
    (unpacking, "cologne_buffer"),
    (archiving, "cologne_archive"),
    (transfer, "us_buffer"),
    (unpacking, "us_buffer"),
    (archiving, "us_archive"),
    (bundling, "cologne_buffer"),
    (bundling, "us_buffer"),
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, S3]]:
    with (
        S3.running(tmp_path_factory.mktemp("s3"), bucket="cologne-archive") as cologne,
        S3.running(tmp_path_factory.mktemp("s3"), bucket="us-archive") as us,
    ):
        yield {"cologne_archive": cologne, "us_archive": us}


@pytest.fixture
def observatory(observatory: Observatory, stores: dict[str, S3]) -> Iterator[Observatory]:
    """With real stores for its archives."""
    for place, store in stores.items():
        address = S3Address(endpoint_url=store.endpoint, bucket=store.bucket, key=store.key, secret=store.secret)
        observatory.storages[place] = S3Storage(address)
    yield observatory
    for place in ARCHIVES:
        observatory.storages[place].close()


def go_on(observatory: Observatory, *, rounds: int = 3) -> None:
    """Every stage has its turn, several times; nobody waits for a pause to be over. No person does anything."""
    for _ in range(rounds):
        for stage, place in PIPELINE:
            with observatory.engine.begin() as connection:
                connection.execute(text("update operation set not_before = null where kind <> 'bundling'"))
            observatory.run(stage, place)


def damage(observatory: Observatory, package: RawDataPackage, place: str, how: CopyStatus) -> None:
    """Spoil its bytes, or take them away, in a buffer or archive; nobody knows yet."""
    if place in ARCHIVES:
        storage = observatory.storages[place]
        content = bytearray(b"".join(storage.read(package.path)))
        content[700] ^= 0xFF
        if how is CopyStatus.CORRUPT:
            storage.write(package.path, [content])
        else:
            storage.delete(package.path)
    elif how is CopyStatus.CORRUPT:
        spoil(observatory, package, place)
    else:
        (observatory.folder(place) / package.path).unlink()


def found(observatory: Observatory, package: RawDataPackage, place: str, how: CopyStatus) -> None:
    """Damage it, and somebody (scrubbing, say) has found out."""
    damage(observatory, package, place, how)
    set_status(observatory, copy_at(observatory, package, place), how)


def forget(observatory: Observatory, package: RawDataPackage, *places: str) -> None:
    """As deletion does it in buffers."""
    for place in places:
        (observatory.folder(place) / package.path).unlink()
        set_status(observatory, copy_at(observatory, package, place), CopyStatus.DELETED)


def in_archive(observatory: Observatory, package: RawDataPackage, place: str) -> bool:
    """Tell whether the archive has the package: on record, and in truth."""
    copy = copy_at(observatory, package, place)
    storage = observatory.storages[place]
    if copy is None or copy.status is not CopyStatus.PRESENT or storage.stat(package.path) is None:
        return False
    assert checksum_of(storage.read(package.path)) == package.checksum
    return copy.verified_at is not None


def is_safe(observatory: Observatory, package: RawDataPackage) -> bool:
    is_archived = state(observatory, package) is PackageState.ARCHIVED
    return is_archived and all(in_archive(observatory, package, place) for place in ARCHIVES)


def state(observatory: Observatory, package: RawDataPackage) -> PackageState:
    return next(row.state for row in packages(observatory.engine) if row.id == package.id)


def failed(observatory: Observatory) -> list[str]:
    """What waits for a person."""
    kinds = (OperationKind.PACKAGING, OperationKind.TRANSFER, OperationKind.UNPACKING, OperationKind.ARCHIVING)
    operations = [operation for kind in kinds for operation in observatory.operations(kind)]
    return [operation.explanation for operation in operations if operation.status is WorkStatus.FAILED]


def quarantined(observatory: Observatory, place: str) -> list[str]:
    return [path for path in files_below(observatory.folder(place)) if path.startswith("quarantine/")]


BAD = pytest.mark.parametrize("how", [CopyStatus.CORRUPT, CopyStatus.MISSING])


# At the observatory


@BAD
def test_what_is_bad_where_it_was_made_is_made_again_and_holds_up_no_other(observatory, how):
    bad, good = packaged(observatory, count=2)
    damage(observatory, bad, "ccat_buffer", how)
    damaged = (observatory.folder("ccat_buffer") / bad.path).read_bytes() if how is CopyStatus.CORRUPT else None
    go_on(observatory, rounds=1)
    assert copy_at(observatory, good, "cologne_archive").status is CopyStatus.PRESENT, "it was not held up"
    assert copy_at(observatory, bad, "ccat_buffer").status is how
    go_on(observatory)
    assert is_safe(observatory, bad)
    assert is_safe(observatory, good)
    assert failed(observatory) == []
    made = newest(observatory, OperationKind.PACKAGING)
    assert f"{bad.name} was lost, and is made again from its raw files" in made.explanation
    if how is CopyStatus.CORRUPT:
        (kept,) = quarantined(observatory, "ccat_buffer")
        assert (observatory.folder("ccat_buffer") / kept).read_bytes() == damaged
        assert f"kept there as {kept}" in made.explanation


@BAD
@pytest.mark.parametrize("implementation", sorted({Implementation.ASYNCSSH, default_implementation()}))
def test_it_is_made_again_in_a_buffer_that_is_reached_over_sftp(observatory, tmp_path, how, implementation):
    (package,) = packaged(observatory)
    with Sftp.running(tmp_path / "sftp", implementation=implementation) as server:
        buffer = SftpStorage(sftp_address(server, observatory.folder("ccat_buffer")))
        observatory.storages["ccat_buffer"] = buffer
        damage(observatory, package, "ccat_buffer", how)
        go_on(observatory, rounds=4)
        buffer.close()
    assert is_safe(observatory, package)
    assert failed(observatory) == []
    assert len(quarantined(observatory, "ccat_buffer")) == (1 if how is CopyStatus.CORRUPT else 0)


def test_if_it_cannot_be_made_again_a_person_is_told_what_there_was_and_which_file_changed(observatory):
    (package,) = packaged(observatory)
    raw = next(path for path in files_below(observatory.folder("ccat_source")) if path.endswith("a b.g3"))
    content = (observatory.folder("ccat_source") / raw).read_bytes()
    (observatory.folder("ccat_source") / raw).write_bytes(content[::-1])
    damage(observatory, package, "ccat_buffer", CopyStatus.CORRUPT)
    go_on(observatory)
    assert state(observatory, package) is PackageState.FAILED
    (why,) = failed(observatory)
    assert f"No good copy of {package.name} is left" in why
    assert repr(raw) in why
    assert "Copies were at: ccat_buffer (corrupt), its 2 raw files at ccat_source (present)." in why
    assert f"put a good copy of {package.path}" in why
    assert "dts retry" in why
    with observatory.engine.connect() as connection:
        counted = {(row.kind, row.site): row.failed for row in connection.execute(LIVE)}
    assert counted["packaging", "ccat"] == 1

    (observatory.folder("ccat_source") / raw).write_bytes(content)
    reset(observatory.engine, operation_ids=[newest(observatory, OperationKind.PACKAGING).id], person="x", reason="y")
    go_on(observatory)
    assert is_safe(observatory, package)


def test_a_good_copy_that_a_person_has_put_back_is_found(observatory):
    (package,) = packaged(observatory)
    content = (observatory.folder("ccat_buffer") / package.path).read_bytes()
    for raw in files_below(observatory.folder("ccat_source")):
        (observatory.folder("ccat_source") / raw).unlink()
    damage(observatory, package, "ccat_buffer", CopyStatus.MISSING)
    go_on(observatory)
    assert state(observatory, package) is PackageState.FAILED
    assert "2 of 2 files are missing" in failed(observatory)[0]

    target = observatory.folder("ccat_buffer") / package.path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    reset(observatory.engine, operation_ids=[newest(observatory, OperationKind.PACKAGING).id], person="x", reason="y")
    go_on(observatory)
    assert is_safe(observatory, package)
    assert "A good copy of" in newest(observatory, OperationKind.PACKAGING).explanation


def test_a_package_made_of_another_start_of_its_observation_does_not_pass_for_the_same(observatory):
    (package,) = packaged(observatory)
    with observatory.engine.begin() as connection:
        connection.execute(text("update executed_obs_unit set started_at = started_at + interval '1 second'"))
    damage(observatory, package, "ccat_buffer", CopyStatus.MISSING)
    go_on(observatory)
    assert state(observatory, package) is PackageState.FAILED
    assert "its observation was given another start" in failed(observatory)[0]
    assert files_below(observatory.folder("ccat_buffer")) == []


def test_what_may_have_arrived_is_not_called_lost(observatory):
    (package,) = packaged(observatory)
    for stage, place in PIPELINE[1:3]:
        observatory.run(stage, place)
    if not (observatory.folder("cologne_buffer") / package.path).exists():
        pytest.fail("it should have gone to cologne first")
    found(observatory, package, "ccat_buffer", CopyStatus.CORRUPT)
    assert observatory.plan(packaging, "ccat_source").batches == []
    go_on(observatory)
    assert is_safe(observatory, package)
    assert len(observatory.operations(OperationKind.PACKAGING)) == 1, "nothing had to be made again"


# Where it arrived


@BAD
def test_what_goes_bad_where_it_arrived_is_fetched_again_from_where_it_came(observatory, how):
    (package,) = packaged(observatory)
    for stage, place in PIPELINE[1:4]:
        observatory.run(stage, place)
    damage(observatory, package, "cologne_buffer", how)
    assert observatory.run(archiving, "cologne_archive").later == 1
    go_on(observatory, rounds=4)
    assert is_safe(observatory, package)
    assert failed(observatory) == []


@BAD
def test_what_goes_bad_between_two_archives_is_read_from_the_archive_that_has_it(observatory, how):
    (package,) = packaged(observatory)
    for stage, place in PIPELINE[1:5]:
        observatory.run(stage, place)
    assert in_archive(observatory, package, "cologne_archive")
    damage(observatory, package, "cologne_buffer", how)
    go_on(observatory)
    assert is_safe(observatory, package)
    assert failed(observatory) == []
    repaired = newest(observatory, OperationKind.ARCHIVING)
    assert "went from cologne_archive to us_archive" in repaired.explanation


# In an archive


@BAD
@pytest.mark.parametrize(("place", "other"), [ARCHIVES, ARCHIVES[::-1]])
def test_an_archive_is_repaired_from_the_other_once_the_buffers_are_empty(observatory, how, place, other):
    (package,) = packaged(observatory)
    go_on(observatory)
    forget(observatory, package, *BUFFERS)
    found(observatory, package, place, how)
    go_on(observatory)
    assert is_safe(observatory, package)
    assert failed(observatory) == []
    repaired = newest(observatory, OperationKind.ARCHIVING)
    assert f"went from {other} to {place}" in repaired.explanation
    if how is CopyStatus.CORRUPT:
        (kept,) = [file.path for file in observatory.storages[place].list("quarantine") if package.path in file.path]
        assert f"kept as {kept}" in repaired.explanation
        assert checksum_of(observatory.storages[place].read(kept)) != package.checksum


@pytest.mark.parametrize("gone", [("us_buffer",), ("us_buffer", "ccat_buffer"), ("cologne_buffer",), ("ccat_buffer",)])
@pytest.mark.parametrize("place", ARCHIVES)
def test_an_archive_is_repaired_whichever_buffers_are_left(observatory, place, gone):
    (package,) = packaged(observatory)
    go_on(observatory)
    forget(observatory, package, *gone)
    found(observatory, package, place, CopyStatus.CORRUPT)
    go_on(observatory)
    assert is_safe(observatory, package)
    assert failed(observatory) == []


@pytest.mark.parametrize(
    ("place", "how"), [("cologne_archive", CopyStatus.CORRUPT), ("cologne_buffer", CopyStatus.MISSING)]
)
def test_what_a_scrub_finds_bad_is_repaired(observatory, place, how):
    """Nobody knew: nobody had read it since it was verified."""
    (package,) = packaged(observatory)
    go_on(observatory)
    if place in ARCHIVES:
        forget(observatory, package, *BUFFERS)
    damage(observatory, package, place, how)
    copy = copy_at(observatory, package, place)
    with Session(observatory.engine) as session, session.begin():
        wanted = NewOperation(subject_id=copy.id, explanation="The gate asks for it.")
        want(session, kind=scrubbing.KIND, data_location_id=copy.data_location_id, operations=[wanted])
    assert observatory.run(scrubbing, place).completed == 1
    assert copy_at(observatory, package, place).status is how
    go_on(observatory)
    assert is_safe(observatory, package)
    assert failed(observatory) == []
    if place in ARCHIVES:
        assert copy_at(observatory, package, place).verified_at > copy.verified_at


def test_if_both_archives_are_bad_it_sets_out_anew_from_the_observatory(observatory):
    (package,) = packaged(observatory)
    go_on(observatory)
    forget(observatory, package, "cologne_buffer", "us_buffer")
    for place in ARCHIVES:
        found(observatory, package, place, CopyStatus.CORRUPT)
    go_on(observatory, rounds=1)
    assert state(observatory, package) in {PackageState.TRANSFERRING, PackageState.ARCHIVED}
    go_on(observatory)
    assert is_safe(observatory, package)


def test_if_all_copies_are_bad_it_is_made_again_from_the_raw_files(observatory):
    (package,) = packaged(observatory)
    go_on(observatory)
    forget(observatory, package, *BUFFERS)
    for place in ARCHIVES:
        found(observatory, package, place, CopyStatus.MISSING)
    go_on(observatory, rounds=4)
    assert is_safe(observatory, package)
    assert len(observatory.operations(OperationKind.PACKAGING)) == 2


def test_a_bad_archive_that_is_read_for_a_repair_is_found_out_and_then_nothing_is_left(observatory):
    (package,) = packaged(observatory)
    go_on(observatory)
    forget(observatory, package, *BUFFERS)
    for raw in files_below(observatory.folder("ccat_source")):
        (observatory.folder("ccat_source") / raw).unlink()
    found(observatory, package, "us_archive", CopyStatus.CORRUPT)
    damage(observatory, package, "cologne_archive", CopyStatus.CORRUPT)
    go_on(observatory)
    assert copy_at(observatory, package, "cologne_archive").status is CopyStatus.CORRUPT
    assert state(observatory, package) is PackageState.FAILED
    (why,) = failed(observatory)
    assert "cologne_archive (corrupt)" in why
    assert "us_archive (corrupt)" in why


class ComesWrongOnce(S3Storage):
    """A bit flips on the long way."""

    lies = 1

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        for chunk in super().read(path, offset=offset, length=length):
            self.lies, lie = self.lies - 1, self.lies > 0
            yield bytes([chunk[0] ^ 0xFF]) + chunk[1:] if lie else chunk


def test_an_archive_copy_that_comes_wrong_once_is_not_called_corrupt(observatory):
    (package,) = packaged(observatory)
    go_on(observatory)
    forget(observatory, package, *BUFFERS)
    found(observatory, package, "us_archive", CopyStatus.MISSING)
    observatory.storages["cologne_archive"] = ComesWrongOnce(observatory.storages["cologne_archive"].address)
    assert observatory.run(archiving, "us_archive").later == 1
    assert "right when read again" in newest(observatory, OperationKind.ARCHIVING).explanation
    assert copy_at(observatory, package, "cologne_archive").status is CopyStatus.PRESENT
    go_on(observatory, rounds=1)
    assert is_safe(observatory, package)


def told(observatory: Observatory, package: RawDataPackage) -> str:
    """What `dts explain` says comes next."""
    with observatory.engine.connect() as connection:
        explained = explain_package(connection, package.id)
    return " ".join(what_comes_next(explained, observatory.topology.policy))


def test_dts_explain_says_how_it_is_repaired(observatory):
    (package,) = packaged(observatory)
    go_on(observatory)
    forget(observatory, package, *BUFFERS)
    found(observatory, package, "us_archive", CopyStatus.CORRUPT)
    assert "the next plan of archiving repairs the other from cologne_archive" in told(observatory, package)
    found(observatory, package, "cologne_archive", CopyStatus.MISSING)
    with observatory.engine.begin() as connection:
        connection.execute(text("update operation set status = 'cancelled' where status in ('pending', 'scheduled')"))
    assert "the next plan of packaging at ccat_source makes it again" in told(observatory, package)
