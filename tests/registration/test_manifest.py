import json
from pathlib import Path

import pytest

from include.errors import FilingRefusedError
from include.registration.manifest import ManifestLine, read_manifest
from include.storage.disk import DiskStorage

ENTRY = b'{"path": "17/empty.g3", "size_bytes": 0}'


def lines_of(root: Path, content: bytes) -> list[ManifestLine]:
    (root / "m").write_bytes(content)
    return list(read_manifest("m", storage=DiskStorage(root), location="ccat_source"))


def test_each_line_is_a_file(tmp_path: Path) -> None:
    entries = [{"path": f"ü\n{number}", "size_bytes": number} for number in range(3)]
    found = lines_of(tmp_path, "\n".join(json.dumps(entry) for entry in entries).encode())
    assert [(line.number, line.file.path, line.file.size_bytes) for line in found] == [
        (number + 1, f"ü\n{number}", number) for number in range(3)
    ]


def test_lines_are_whole_wherever_a_chunk_ends(tmp_path: Path) -> None:
    entries = [{"path": "p" * (number % 97) + str(number), "size_bytes": number} for number in range(30_000)]
    found = lines_of(tmp_path, "".join(json.dumps(entry) + "\n" for entry in entries).encode())
    assert [line.file.path for line in found] == [entry["path"] for entry in entries]


def test_empty_lines_are_passed_over(tmp_path: Path) -> None:
    assert [line.number for line in lines_of(tmp_path, b"\r\n\n" + ENTRY + b"\r\n\n")] == [3]
    assert lines_of(tmp_path, b"") == []


def test_two_hundred_thousand_lines_are_still_a_manifest(tmp_path: Path) -> None:
    assert len(lines_of(tmp_path, ENTRY + b"\n" * 200_000)) == 1
    with pytest.raises(FilingRefusedError, match="more than 200,000 lines"):
        lines_of(tmp_path, b"\n" * 200_000 + ENTRY)


def test_a_manifest_larger_than_any_honest_one_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(10**12)
    with pytest.raises(FilingRefusedError, match="manifest 'huge' has 1.0 TB, more than 100.0 MB; file it in parts"):
        list(read_manifest("huge", storage=DiskStorage(tmp_path), location="ccat_source"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(
            b'{"path": "17/empty.g3", "size_bytes": 0}\n{"path":', ("line 2 of manifest 'm' is not JSON",), id="cut off"
        ),
        pytest.param(b'{"path": "a", "path": "b", "size_bytes": 0}', ("line 1", "a key stands twice"), id="key twice"),
        pytest.param(b'"17/empty.g3"', ("line 1", "must be an object with path and size_bytes"), id="no object"),
        pytest.param(b"[" * 16_000, ("line 1", "is not JSON"), id="nested deeply"),
        pytest.param(b"9" * 10_000, ("line 1", "is not JSON"), id="a number without end"),
        pytest.param(b"\xff\xfe{}", ("line 1", "not UTF-8"), id="another encoding"),
        pytest.param(b"\n" + b"x" * 17_000, ("line 2", "longer than"), id="long line"),
        pytest.param(b"x" * 3_000_000, ("line 1", "longer than"), id="one line"),
        pytest.param(b"\n" * 200_001, ("more than 200,000 lines",), id="too many lines"),
        pytest.param(b'{"path": "17/empty.g3"}', ("line 1", "size_bytes is missing"), id="no size"),
        pytest.param(b'{"path": "17/empty.g3", "size": 0}', ("line 1", "size_bytes is missing"), id="wrong key"),
        pytest.param(
            b'{"path": "17/empty.g3", "size_bytes": 0, "md5": ""}',
            ("line 1", "md5 is not a known key"),
            id="unknown key",
        ),
        pytest.param(b'{"path": "../x", "size_bytes": 0}', ("line 1", "'../x'", "'..'"), id="out of the root"),
        pytest.param(
            b'{"path": "/etc/passwd", "size_bytes": 0}', ("line 1", "'/etc/passwd'", "absolute"), id="absolute"
        ),
        pytest.param(b'{"path": "a\\u0000b", "size_bytes": 0}', ("line 1", "path", "NUL"), id="NUL"),
        pytest.param(b'{"path": "a\\ud800", "size_bytes": 0}', ("line 1", "path", "surrogate"), id="lone surrogate"),
        pytest.param(b'{"path": "{{ x }}", "size_bytes": 0}', ("line 1", "path '{{ x }}'", "template"), id="template"),
        pytest.param(b'{"path": "\\u007b\\u007b", "size_bytes": 0}', ("line 1", "template"), id="escaped template"),
        pytest.param(b'{"path": "a", "size_bytes": 0, "\\ud800": 1}', ("line 1", "surrogate"), id="surrogate as key"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, content: bytes, words: tuple[str, ...]) -> None:
    with pytest.raises(FilingRefusedError) as refused:
        lines_of(tmp_path, content)
    assert "manifest 'm'" in str(refused.value)
    assert len(str(refused.value)) < 500
    str(refused.value).encode()
    for word in words:
        assert word in str(refused.value)
