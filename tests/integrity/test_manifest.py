from uuid import uuid4

import pytest
from pydantic import ValidationError

from include.integrity.checksum import checksum_of
from include.integrity.manifest import Member, PackageManifest

CHECKSUM = checksum_of([b""])


def member(path: str, *, offset: int, size: int) -> Member:
    return Member(path=path, offset_bytes=offset, size_bytes=size, checksum=CHECKSUM, raw_data_file_id=uuid4())


def manifest(*members: Member, size: int = 2048, blocks: int = 2) -> PackageManifest:
    return PackageManifest(
        name="package-1.tar",
        size_bytes=size,
        checksum=CHECKSUM,
        block_bytes=1024,
        block_checksums=(CHECKSUM,) * blocks,
        members=members,
    )


def test_a_manifest_survives_json() -> None:
    original = manifest(member("ü/\U0001f52d\n.g3", offset=512, size=3), member("b", offset=1536, size=0))
    assert PackageManifest.from_json(original.to_json()) == original


def test_a_manifest_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        manifest().name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("members", "blocks", "complaint"),
    [
        ((("a", 512, 600), ("b", 1024, 5)), 2, "members 'a' and 'b' overlap"),
        ((("a", 1024, 5), ("b", 512, 5)), 2, "members 'a' and 'b' overlap"),
        ((("a", 512, 2000),), 2, "'a' ends beyond the package"),
        ((), 1, "2048 bytes are 2 blocks, not 1"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    members: tuple[tuple[str, int, int], ...], blocks: int, complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        manifest(*(member(path, offset=offset, size=size) for path, offset, size in members), blocks=blocks)


def test_a_member_cannot_lead_out_of_the_place_it_is_unpacked_to() -> None:
    with pytest.raises(ValidationError, match="is refused"):
        manifest(member("../../etc/passwd", offset=512, size=3))
