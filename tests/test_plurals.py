from pathlib import Path

import pytest

from include.plurals import counted


@pytest.mark.parametrize(
    ("count", "thing", "said"),
    [
        (1, "file", "1 file"),
        (0, "file", "0 files"),
        (2000, "raw file", "2,000 raw files"),
        (2, "verified archive copy", "2 verified archive copies"),
        (1, "verified archive copy", "1 verified archive copy"),
        (3, "batch", "3 batches"),
        (2, "day", "2 days"),
    ],
)
def test_things_are_counted_as_people_say_it(count: int, thing: str, said: str) -> None:
    assert counted(count, thing) == said


def test_no_sentence_leaves_it_to_the_reader_how_many_there_are() -> None:
    folder = Path(__file__).parents[1] / "include"
    lazy = [path for path in folder.rglob("*.py") if "(s)" in path.read_text()]
    assert lazy == []
