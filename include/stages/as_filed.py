"""Whether raw files are still what the instrument filed, as far as can be seen without reading them."""

from include.errors import FileChangedError, MissingFileError
from include.integrity.package import SourceFile
from include.plurals import counted
from include.storage.disk import DiskStorage

NAMED_FILES = 5
"""In a sentence about files that are not as they were filed: enough to see what happened, short enough to read."""


def require_as_filed(source: DiskStorage, files: tuple[SourceFile, ...]) -> None:
    """Name everything that is wrong at first sight, before 50 GB are written in vain.

    Raises:
        MissingFileError: files are not there.
        FileChangedError: files have another size.
    """
    missing: list[str] = []
    changed: list[str] = []
    for file in files:
        found = source.stat(file.path)
        if found is None:
            missing.append(repr(file.path))
        elif found.size_bytes != file.size_bytes:
            changed.append(f"{file.path!r} ({file.size_bytes:,} bytes filed, {found.size_bytes:,} there)")
    if missing:
        also = f" Changed after they were filed: {_listed(changed)}." if changed else ""
        are = "is" if len(missing) == 1 else "are"
        raise MissingFileError(
            f"{len(missing)} of {counted(len(files), 'file')} {are} missing: {_listed(missing)}.{also}"
        )
    if changed:
        raise FileChangedError(
            f"{len(changed)} of {counted(len(files), 'file')} changed after being filed: {_listed(changed)}."
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_FILES} more" if len(names) > NAMED_FILES else ""
    return ", ".join(names[:NAMED_FILES]) + more
