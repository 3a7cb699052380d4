"""What only an SFTP server can do, or do wrong."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from include.errors import BadInputError, MissingFileError, NoSpaceError, PermanentError, TransientError
from include.sandbox.keys import KeyPair
from include.sandbox.ports import free_port
from include.sandbox.sftp import Implementation, RunningSftp, Sftp
from include.storage.sftp import PIECE_BYTES, SftpStorage, _pieces, pieces_under_way
from include.storage.sftp_connection import SftpAddress
from tests.storage.conftest import sftp_address
from tests.storage.test_disk import full_disk, names_in

__all__ = ["full_disk"]  # a fixture


@pytest.fixture(params=list(Implementation))
def address(
    request: pytest.FixtureRequest, sftp_server: Callable[[Implementation], RunningSftp], tmp_path: Path
) -> SftpAddress:
    root = tmp_path / "root"
    root.mkdir()
    return sftp_address(sftp_server(request.param), root)


def test_another_host_key_than_the_known_one_is_refused(address: SftpAddress, tmp_path: Path) -> None:
    other = KeyPair.made(tmp_path / "other").public
    storage = SftpStorage(replace(address, host_key=other))
    with closing(storage), pytest.raises(PermanentError, match=f"{address.host}:{address.port} shows another host key"):
        storage.stat("file")


def test_a_login_that_is_refused_says_where(address: SftpAddress, tmp_path: Path) -> None:
    stranger = KeyPair.made(tmp_path / "stranger").private
    storage = SftpStorage(replace(address, private_key_path=str(stranger)))
    with closing(storage), pytest.raises(PermanentError, match=f"{address.host}:{address.port} refuses the login"):
        storage.stat("file")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"private_key_path": "/nowhere/key"}, "private key .* is not there: .*/nowhere/key"),
        ({"host_key": "ssh-ed25519 nonsense"}, "key .* cannot be read"),
    ],
)
def test_keys_that_cannot_be_used_say_so(address: SftpAddress, change: dict[str, str], complaint: str) -> None:
    storage = SftpStorage(replace(address, **change))  # type: ignore[arg-type]
    with closing(storage), pytest.raises(PermanentError, match=complaint):
        storage.stat("file")


def test_a_server_that_does_not_answer_is_tried_again(address: SftpAddress) -> None:
    port = free_port()
    storage = SftpStorage(replace(address, port=port))
    with closing(storage), pytest.raises(TransientError, match=f"127.0.0.1:{port}"):
        storage.stat("file")


def test_a_root_that_is_not_there_is_never_an_empty_one(address: SftpAddress) -> None:
    """Else an unmounted disk would look as if all its files had been deleted."""
    missing = f"{address.root}/unmounted"
    with closing(SftpStorage(replace(address, root=missing))) as storage:
        for attempt in (
            lambda: storage.stat("file"),
            lambda: storage.write("folder/file", [b"x"]),
            lambda: storage.delete("file"),
            lambda: next(storage.list()),
            lambda: next(storage.read("file")),
        ):
            with pytest.raises(TransientError, match="unmounted is not there .* is its disk mounted"):
                attempt()
    assert names_in(Path(address.root)) == []


def test_many_files_are_asked_for_at_once(address: SftpAddress) -> None:
    contents = {f"some/{number}": b"x" * number for number in range(300)}
    for path, content in contents.items():
        (Path(address.root) / path).parent.mkdir(exist_ok=True)
        (Path(address.root) / path).write_bytes(content)
    paths = [*contents, "some/other", "some"]
    with closing(SftpStorage(address)) as storage:
        found = storage.stat_all(paths)
        assert [file and file.size_bytes for file in found] == [*range(300), None, None]
        assert storage.read_all(paths[:-1]) == [*contents.values(), None]
        assert (storage.stat_all([]), storage.read_all([])) == ([], [])
        with pytest.raises(BadInputError):
            storage.stat_all(["some/1", "../outside"])


def test_a_missing_file_is_missing(address: SftpAddress) -> None:
    with closing(SftpStorage(address)) as storage, pytest.raises(MissingFileError, match="127.0.0.1:.*folder/file"):
        next(storage.read("folder/file"))


def test_delete_removes_empty_folders_but_never_the_root_or_what_others_left(address: SftpAddress) -> None:
    root = Path(address.root)
    with closing(SftpStorage(address)) as storage:
        storage.write("a/b/c/file", [b"x"])
        (root / "a" / "somebody's").write_bytes(b"")
        storage.delete("a/b/c/file")
        assert names_in(root) == ["a", "a/somebody's"]
        storage.delete("a/somebody's")
    assert names_in(root) == []
    assert root.is_dir()


def test_a_failed_write_leaves_no_part(address: SftpAddress) -> None:
    with closing(SftpStorage(address)) as storage, pytest.raises(TransientError):
        storage.write("file", [b"x"], size_bytes=2)
    assert names_in(Path(address.root)) == []


def test_a_full_disk_waits_for_space_and_keeps_nothing(address: SftpAddress, full_disk: Path) -> None:
    with closing(SftpStorage(replace(address, root=str(full_disk)))) as storage:
        with pytest.raises(NoSpaceError, match="no space left for .*folder/file"):
            storage.write("folder/file", [bytes(4_000_000)])
        assert list(storage.list()) == []


@pytest.mark.parametrize("implementation", list(Implementation))
def test_a_cut_connection_is_a_transient_error_and_the_next_call_connects_again(
    implementation: Implementation,
    sftp_server: Callable[[Implementation], RunningSftp],
    tmp_path: Path,
) -> None:
    sftp_server(implementation)  # skips where it cannot run
    (tmp_path / "file").write_bytes(bytes(40_000_000))
    server = RunningSftp(folder=tmp_path / "server", port=None, implementation=implementation)
    server.start(authorized=(server.client_key.public,))
    with closing(SftpStorage(sftp_address(server, tmp_path))) as storage:
        try:
            reading = storage.read("file")
            next(reading)
            server.daemon.kill()
            with pytest.raises(TransientError, match=f"127.0.0.1:{server.port}"):
                for _ in reading:
                    pass
            server.start(authorized=(server.client_key.public,))
            assert sum(len(chunk) for chunk in storage.read("file")) == 40_000_000
        finally:
            server.stop()


def test_a_server_that_dies_during_a_write_is_a_transient_error(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with Sftp.running(tmp_path / "server") as server, closing(SftpStorage(sftp_address(server, root))) as storage:

        def dying() -> Iterator[bytes]:
            yield bytes(1_000_000)
            server.daemon.kill()
            while True:
                yield bytes(1_000_000)

        with pytest.raises(TransientError, match=f"127.0.0.1:{server.port}"):
            storage.write("file", dying())
    assert not (root / "file").exists()


def test_nothing_runs_on_after_close(address: SftpAddress) -> None:
    before = threading.active_count()
    storage = SftpStorage(address)
    storage.write("file", [b"x"])
    assert threading.active_count() > before
    storage.close()
    assert threading.active_count() == before


def test_a_read_left_unfinished_does_not_open_a_closed_storage_again(address: SftpAddress) -> None:
    before = threading.active_count()
    storage = SftpStorage(address)
    storage.write("file", [bytes(3_000_000)])
    reading = storage.read("file")
    next(reading)
    storage.close()
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_the_address_never_shows_where_its_key_is(address: SftpAddress) -> None:
    assert "client_key" not in repr(address)


@pytest.mark.parametrize(("milliseconds", "pieces"), [(0, 4), (1, 4), (50, 10), (250, 32), (5000, 32)])
def test_what_is_under_way_fits_the_link(milliseconds: float, pieces: int) -> None:
    assert pieces_under_way(milliseconds / 1000) == pieces


def test_small_chunks_travel_together() -> None:
    chunks = [bytes([number % 256]) * 300_000 for number in range(10)]
    pieces = list(_pieces(chunks))
    assert b"".join(pieces) == b"".join(chunks)
    assert [len(piece) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, 3_000_000 - 2 * PIECE_BYTES]
