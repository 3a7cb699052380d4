"""The journal believes whole lines about its own file, and nothing else."""

from pathlib import Path

import pytest

from include.transfer.blocks import blocks_of
from include.transfer.journal import Journal
from tests.transfer.samples import item_of, some_bytes

CONTENT = item_of(some_bytes(3500)).content
BLOCKS = blocks_of(CONTENT)


@pytest.fixture
def journal(tmp_path: Path):
    journal = Journal(tmp_path / "one.journal", content=CONTENT)
    journal.open()
    yield journal
    journal.close()


def test_it_returns_the_blocks_that_were_added(journal):
    journal.add(BLOCKS[2])
    journal.add(BLOCKS[0])
    journal.add(BLOCKS[2])
    assert journal.blocks() == (BLOCKS[2], BLOCKS[0])


@pytest.mark.parametrize("kept", [1, 40, 60, 78, 79])
def test_a_torn_last_line_is_ignored_and_does_not_spoil_the_next_one(journal, kept):
    journal.add(BLOCKS[0])
    journal.add(BLOCKS[1])
    text = journal.path.read_bytes()
    line = text.split(b"\n")[1]
    journal.path.write_bytes(text[: -len(line) - 1] + line[:kept])
    assert journal.blocks() == (BLOCKS[0],)
    again = Journal(journal.path, content=CONTENT)
    again.open()
    again.add(BLOCKS[3])
    again.close()
    assert again.blocks() == (BLOCKS[0], BLOCKS[3])


def test_a_line_of_which_a_power_cut_left_zeros_is_ignored(journal):
    journal.add(BLOCKS[0])
    with journal.path.open("ab") as file:
        file.write(bytes(80) + b"\n")
    journal.add(BLOCKS[1])
    assert journal.blocks() == (BLOCKS[0], BLOCKS[1])


def test_a_block_with_another_checksum_does_not_count(journal):
    journal.add(BLOCKS[0])
    text = journal.path.read_text()
    journal.path.write_text(text.replace(BLOCKS[0].checksum, BLOCKS[1].checksum))
    assert journal.blocks() == ()


@pytest.mark.parametrize("other", [item_of(some_bytes(3500, seed=2)), item_of(some_bytes(3500), block_bytes=500)])
def test_the_journal_of_another_file_or_of_other_blocks_is_worth_nothing(journal, other):
    journal.add(BLOCKS[0])
    assert Journal(journal.path, content=other.content).blocks() is None


def test_no_journal_has_no_blocks(tmp_path):
    assert Journal(tmp_path / "none", content=CONTENT).blocks() == ()
