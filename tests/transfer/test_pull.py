"""Pulling on a disk: what is sent, what is not sent again, and what becomes of wrong bytes."""

import os
import threading
from pathlib import Path

import pytest

from include.errors import BadInputError, DtsError, LeaseLostError, PermanentError, TransientError
from include.transfer.part_file import missing_bytes
from include.transfer.pulled import DamagedOriginError, Progress, Pulled
from tests.transfer.moving import names, pulled
from tests.transfer.samples import BLOCK, CountingStorage, item_of, put, some_bytes

SIZE = 4 * BLOCK + 77
CONTENT = some_bytes(SIZE)


@pytest.fixture
def there(origin_root: Path) -> CountingStorage:
    return CountingStorage(origin_root)


def test_files_arrive_whole_under_their_names(there, root):
    items = [put(some_bytes(size, seed=size), at=there.root, path=f"a/{size}.tar") for size in (0, 1, 999, 1000, 5001)]
    assert pulled(items, there, root) == Pulled(7001, 0, finished=True)
    assert names(root) == {f"{size}.tar" for size in (0, 1, 999, 1000, 5001)}
    for item in items:
        assert (root / item.path).read_bytes() == (there.root / item.path).read_bytes()


def test_neighbouring_blocks_are_one_request(there, root):
    pulled([put(CONTENT, at=there.root)], there, root)
    assert there.reads == [(0, SIZE)]


def test_a_complete_file_is_not_sent_again(there, root):
    item = put(CONTENT, at=there.root)
    pulled([item], there, root)
    there.reads.clear()
    assert pulled([item], there, root) == Pulled(0, SIZE, finished=True)
    assert there.reads == []


def test_a_file_of_another_size_under_the_final_name_is_no_complete_file(there, root):
    item = put(CONTENT, at=there.root)
    put(CONTENT[:-1], at=root)
    assert missing_bytes(item, root=root) == SIZE
    assert pulled([item], there, root).bytes_sent == SIZE
    assert (root / item.path).read_bytes() == CONTENT


def test_it_hands_back_when_time_is_up_and_gets_further_each_time(there, root):
    item = put(CONTENT, at=there.root)
    sent = []
    while True:
        expected_missing = missing_bytes(item, root=root)
        assert expected_missing == SIZE - sum(sent)
        sitting = pulled([item], there, root, yield_after_seconds=0)
        sent.append(sitting.bytes_sent)
        if sitting.finished:
            break
        assert names(root) == {"one.tar.part", "one.tar.journal"}
    assert sent == [BLOCK, BLOCK, BLOCK, BLOCK, 77]
    assert (root / item.path).read_bytes() == CONTENT


def test_time_is_up_between_files_too(there, root):
    items = [put(some_bytes(BLOCK, seed=n), at=there.root, path=f"{n}.tar") for n in range(2)]
    assert pulled(items, there, root, yield_after_seconds=0) == Pulled(BLOCK, 0, finished=False)
    assert pulled(items, there, root, yield_after_seconds=0) == Pulled(BLOCK, BLOCK, finished=True)


def test_only_what_is_missing_between_verified_blocks_is_asked_for(there, root):
    item = put(CONTENT, at=there.root)
    pulled([item], there, root)
    (root / item.path).rename(root / f"{item.path}.part")
    lines = [f"{item.content.checksum} {BLOCK} {n} {item.content.block_checksums[n]}\n" for n in (0, 2, 3)]
    (root / f"{item.path}.journal").write_text("".join(lines))
    there.reads.clear()
    assert pulled([item], there, root) == Pulled(BLOCK + 77, 3 * BLOCK, finished=True)
    assert there.reads == [(BLOCK, BLOCK), (4 * BLOCK, 77)]


def test_progress_counts_what_was_sent_and_what_was_not(there, root):
    item = put(CONTENT, at=there.root)
    pulled([item], there, root, yield_after_seconds=0)
    seen: list[Progress] = []
    pulled([item], there, root, on_progress=seen.append)
    assert [(step.bytes_sent, step.bytes_skipped) for step in seen] == [
        (1000, 1000),
        (2000, 1000),
        (3000, 1000),
        (3077, 1000),
    ]


def test_a_block_that_comes_wrong_once_is_fetched_again_alone(there, root):
    item = put(CONTENT, at=there.root)
    there.lies = {2 * BLOCK + 5: 1}
    assert pulled([item], there, root) == Pulled(SIZE + BLOCK, 0, finished=True)
    assert there.reads == [(0, SIZE), (2 * BLOCK, BLOCK)]
    assert (root / item.path).read_bytes() == CONTENT


def test_a_block_that_comes_wrong_twice_is_the_origins_fault_and_nothing_wrong_is_kept(there, root):
    item = put(CONTENT, at=there.root)
    other = put(b"well", at=there.root, path="z.tar")
    there.lies = {2 * BLOCK + 5: 2}
    with pytest.raises(DamagedOriginError, match=r"one: block 2 \(.* came from ccat_buffer") as caught:
        pulled([item, other], there, root)
    assert caught.value.items == (item,)
    assert not (root / item.path).exists()
    assert (root / f"{item.path}.part").read_bytes() == CONTENT[: 2 * BLOCK]
    assert (root / "z.tar").read_bytes() == b"well", "one bad file must not hold up the others"
    assert pulled([item], there, root) == Pulled(SIZE - 2 * BLOCK, 2 * BLOCK, finished=True)


def test_a_file_that_is_not_there_at_the_origin_is_named_and_holds_up_no_other(there, root):
    item, other = item_of(CONTENT), put(b"well", at=there.root, path="z.tar")
    with pytest.raises(DamagedOriginError, match=r"one is not at ccat_buffer: .*one\.tar") as caught:
        pulled([item, other], there, root)
    assert (caught.value.items, caught.value.missing) == ((item,), (item,))
    assert (root / "z.tar").read_bytes() == b"well"


def test_a_file_that_is_too_short_at_the_origin_is_damaged_there(there, root):
    put(CONTENT[: 2 * BLOCK + 1], at=there.root)
    with pytest.raises(DamagedOriginError, match=f"one has 2001 bytes at ccat_buffer instead of {SIZE}"):
        pulled([item_of(CONTENT)], there, root)


def test_what_came_before_a_passing_trouble_is_kept(there, root):
    item = put(CONTENT, at=there.root)
    there.breaks_at = 2 * BLOCK + 1
    with pytest.raises(TransientError, match="cut"):
        pulled([item], there, root)
    there.breaks_at = None
    assert pulled([item], there, root) == Pulled(SIZE - 2 * BLOCK, 2 * BLOCK, finished=True)


def test_the_part_of_another_file_is_overwritten_and_cut_to_size(there, root):
    item = put(CONTENT, at=there.root)
    put(some_bytes(SIZE + 500, seed=9), at=root, path=f"{item.path}.part")
    assert pulled([item], there, root).bytes_sent == SIZE
    assert (root / item.path).read_bytes() == CONTENT


def test_the_journal_of_another_package_is_discarded(there, root):
    old = put(some_bytes(SIZE, seed=3), at=there.root)
    pulled([old], there, root, yield_after_seconds=0)
    item = put(CONTENT, at=there.root)
    assert missing_bytes(item, root=root) == SIZE
    assert pulled([item], there, root) == Pulled(SIZE, 0, finished=True)
    assert (root / item.path).read_bytes() == CONTENT


def test_a_journal_that_claims_more_than_its_part_file_holds_is_discarded(there, root):
    item = put(CONTENT, at=there.root)
    pulled([item], there, root, yield_after_seconds=0)
    pulled([item], there, root, yield_after_seconds=0)
    os.truncate(root / f"{item.path}.part", BLOCK + 3)
    assert pulled([item], there, root) == Pulled(SIZE, 0, finished=True)
    assert (root / item.path).read_bytes() == CONTENT


def test_a_journal_without_its_part_file_is_worth_nothing(there, root):
    item = put(CONTENT, at=there.root)
    pulled([item], there, root, yield_after_seconds=0)
    (root / f"{item.path}.part").unlink()
    assert pulled([item], there, root) == Pulled(SIZE, 0, finished=True)
    assert (root / item.path).read_bytes() == CONTENT


def test_a_journal_left_by_a_renamed_file_does_not_spoil_that_of_the_next(there, root):
    """Power fails between the rename and the journal's end; then the file is taken away, and begun anew."""
    item = put(CONTENT, at=there.root)
    lines = [f"{item.content.checksum} {BLOCK} {n} {item.content.block_checksums[n]}\n" for n in range(5)]
    (root / item.path).parent.mkdir(parents=True)
    (root / f"{item.path}.journal").write_text("".join(lines))
    assert pulled([item], there, root, yield_after_seconds=0) == Pulled(BLOCK, 0, finished=False)
    assert missing_bytes(item, root=root) == SIZE - BLOCK
    assert pulled([item], there, root) == Pulled(SIZE - BLOCK, BLOCK, finished=True)
    assert (root / item.path).read_bytes() == CONTENT


def test_a_lost_lease_ends_it_after_the_block_and_the_block_is_kept(there, root):
    item = put(CONTENT, at=there.root)

    def lost() -> None:
        raise LeaseLostError("taken over")

    with pytest.raises(LeaseLostError):
        pulled([item], there, root, check=lost)
    assert missing_bytes(item, root=root) == SIZE - BLOCK


def test_an_engine_that_is_overtaken_and_goes_on_does_no_harm(there, root):
    item = put(CONTENT, at=there.root)
    overtaken = []

    def overtake() -> None:
        if not overtaken:
            overtaken.append(pulled([item], CountingStorage(there.root), root))

    pulled([item], there, root, check=overtake)
    assert overtaken == [Pulled(SIZE - BLOCK, BLOCK, finished=True)]
    assert names(root) == {"one.tar"}
    assert (root / item.path).read_bytes() == CONTENT


def test_an_overtaken_engine_never_renames_the_half_full_part_of_another_one(there, root):
    """It comes back after the file was finished, found bad and taken away, and begun anew."""
    item = put(CONTENT, at=there.root)
    steps = []

    def meanwhile() -> None:
        if not steps:
            steps.append(pulled([item], CountingStorage(there.root), root))
            (root / item.path).rename(root / "quarantined")
            steps.append(pulled([item], CountingStorage(there.root), root, yield_after_seconds=0))

    with pytest.raises(TransientError, match="was taken away"):
        pulled([item], there, root, check=meanwhile)
    assert not (root / item.path).exists()
    assert missing_bytes(item, root=root) == SIZE - BLOCK


def test_two_engines_at_once_end_with_one_whole_file(tmp_path, there):
    content = some_bytes(50 * BLOCK)
    item = put(content, at=there.root)
    for attempt in range(10):
        root = tmp_path / f"both-{attempt}"
        root.mkdir()
        together = threading.Barrier(2)
        done: list[Pulled | Exception] = []

        def one(root=root, together=together, done=done) -> None:
            together.wait()
            try:
                done.append(pulled([item], CountingStorage(there.root), root))
            except DtsError as error:
                done.append(error)

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(isinstance(result, Pulled) and result.finished for result in done), done
        assert (root / item.path).read_bytes() == content
        assert "one.tar.part" not in names(root)


def test_a_blocks_bytes_are_on_the_disk_before_the_journal_says_so_and_all_before_the_name(there, root, monkeypatch):
    """What a power cut would find: the order of the calls that matter."""
    calls: list[tuple[str, str]] = []

    def recorded(name: str):
        real = getattr(os, name)

        def call(descriptor, *arguments):
            file = Path(f"/proc/self/fd/{descriptor}").readlink().name
            calls.append((name, file.rpartition(".")[2]))
            return real(descriptor, *arguments)

        return call

    for name in ("pwritev", "write", "fdatasync", "fsync"):
        monkeypatch.setattr(os, name, recorded(name))
    real_rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, target: (calls.append(("rename", "")), real_rename(self, target)))
    pulled([put(CONTENT[: 2 * BLOCK], at=there.root, path="one.tar")], there, root)
    block = [("pwritev", "part"), ("fdatasync", "part"), ("write", "journal"), ("fdatasync", "journal")]
    folder = ("fsync", root.name)
    assert calls == [folder, *block, *block, ("fsync", "part"), ("rename", ""), folder]


def test_a_root_that_is_not_there_is_never_made(there, tmp_path):
    item = put(CONTENT, at=there.root)
    with pytest.raises(TransientError, match="is its disk mounted"):
        pulled([item], there, tmp_path / "unmounted")
    assert not (tmp_path / "unmounted").exists()


def test_a_path_that_leaves_the_root_is_refused(there, root):
    with pytest.raises(BadInputError):
        pulled([item_of(CONTENT, path="../out.tar")], there, root)


def test_a_file_in_the_place_of_a_folder_needs_a_person(there, root):
    item = put(CONTENT, at=there.root)
    (root / "chai").write_text("not a folder")
    with pytest.raises(PermanentError, match="in the way"):
        pulled([item], there, root)
