"""What tests of packaging look at: tars in buffers, and what the operation says."""

import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

from include.errors import TransientError
from include.operations.batch import BatchReport
from include.operations.record import reset
from include.ops_db.tables import RawDataPackage
from include.stages import packaging
from include.storage.disk import DiskStorage
from include.storage.interface import Chunk
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.stages.filed import files_below

HERE = "ccat_source"


class Restless(DiskStorage):
    """A buffer at which something happens while a package is written into it."""

    def __init__(self, root: Path, happening: Callable[[int], None]) -> None:
        super().__init__(root)
        self._happening = happening

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        def watched() -> Iterable[Chunk]:
            for number, chunk in enumerate(chunks):
                self._happening(number)
                yield chunk

        super().write(path, watched(), size_bytes=size_bytes)


class DiesAfterWriting(DiskStorage):
    """The package is in its place, and then the power goes."""

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        super().write(path, chunks, size_bytes=size_bytes)
        raise TransientError("the power went")


def package_files(observatory: Observatory) -> BatchReport:
    return observatory.run(packaging, HERE)


def tar_content(observatory: Observatory, package: RawDataPackage, buffer: str = "ccat_buffer") -> dict[str, bytes]:
    with tarfile.open(observatory.folder(buffer) / package.path) as tar:
        return {member.name: _read(tar, member) for member in tar}


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(member)
    assert content is not None
    return content.read()


def buffered(observatory: Observatory, buffer: str = "ccat_buffer") -> list[str]:
    return files_below(observatory.folder(buffer))


def the_operation_says(observatory: Observatory) -> str:
    (operation,) = observatory.operations(OperationKind.PACKAGING)
    return operation.explanation


def retry(observatory: Observatory) -> BatchReport:
    """As `dts retry` does, and the run after it."""
    ids = [operation.id for operation in observatory.operations(OperationKind.PACKAGING)]
    assert reset(observatory.engine, operation_ids=ids, person="ada", reason="mended")
    return package_files(observatory)
