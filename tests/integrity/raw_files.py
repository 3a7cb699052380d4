"""Raw files on the disk for tests, and the package made of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from include.integrity.checksum import BLOCK_BYTES
from include.integrity.manifest import PackageManifest
from include.integrity.package import PackageStream, SourceFile, write_package
from include.storage.disk import DiskStorage

MODIFIED_AT = 1_700_000_000


@dataclass(frozen=True)
class Package:
    content: bytes
    manifest: PackageManifest


def source_file(path: str, size_bytes: int, checksum: str | None = None) -> SourceFile:
    """The same path has the same id."""
    identity = UUID(bytes=hashlib.blake2b(path.encode(), digest_size=16).digest())
    return SourceFile(path=path, size_bytes=size_bytes, checksum=checksum, raw_data_file_id=identity)


def filed(root: Path, contents: Mapping[str, bytes]) -> tuple[SourceFile, ...]:
    """The contents as files below root, as an instrument would file them."""
    for path, content in contents.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return tuple(source_file(path, len(content)) for path, content in contents.items())


def stream(root: Path, contents: Mapping[str, bytes], *, block_bytes: int = BLOCK_BYTES) -> PackageStream:
    files = filed(root, contents)
    return write_package(files, open_file=DiskStorage(root).open, modified_at=MODIFIED_AT, block_bytes=block_bytes)


def packed(root: Path, contents: Mapping[str, bytes], *, block_bytes: int = BLOCK_BYTES) -> Package:
    package = stream(root, contents, block_bytes=block_bytes)
    content = b"".join(package)
    return Package(content=content, manifest=package.manifest("package-1.tar"))
