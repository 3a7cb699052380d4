"""A pull that is killed goes on from its last verified block, wherever it died."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.transfer.samples import BLOCK, put, some_bytes

SIZE = 2 * BLOCK + 123


@pytest.fixture(scope="module", params=["streamed", "same-host"])
def deaths(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    folder = tmp_path_factory.mktemp("crash")
    item = put(some_bytes(SIZE), at=folder / "origin")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.transfer.crash"),
            *(folder / "origin", folder / "there", item.path, str(BLOCK), request.param),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def test_it_is_killed_at_every_line_from_the_first_block_to_the_last_cleaning(deaths):
    assert len(deaths) > 150
    kept = [death[0] for death in deaths]
    assert set(kept) >= {0, BLOCK, 2 * BLOCK, SIZE}


def test_only_blocks_that_are_not_in_the_journal_are_sent_again(deaths):
    for number, (kept, was_final, read, sent, *_) in enumerate(deaths, start=1):
        assert read == sent == (0 if was_final else SIZE - kept), f"killed at line {number}"


def test_a_file_has_its_final_name_only_when_it_is_whole(deaths):
    assert all(death[5] for death in deaths)
    assert any(death[1] for death in deaths), "it was never killed between the rename and the end"
    assert any(not death[1] for death in deaths)


def test_in_the_end_the_file_is_there_and_nothing_else_is_left(deaths):
    assert all(death[4] for death in deaths)
    assert all(death[6] for death in deaths)
