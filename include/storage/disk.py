"""Files in a folder of this host: a local disk or anything mounted there.

A file gets its name only when it is complete and on the disk: `<name>.<unique>.part`, fsync, rename, fsync of the
folder.
Symbolic links may lead about inside the root; one that leads out, or that stands where a file should be, is refused.
A root that is not there is never made and never taken for an empty one: the disk is probably not mounted. So it is with
one that lacks the location's mark (mark.py), where one is asked for.
"""

import errno
import io
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from include.errors import BadInputError, MissingFileError, TransientError
from include.storage.disk_errors import disk_error
from include.storage.disk_listing import file_stat, files_below
from include.storage.disk_mark import require_mark
from include.storage.durable import fsync_folder, make_folders
from include.storage.interface import CHUNK_BYTES, Chunk, FileStat, Space
from include.storage.mark import Mark
from include.storage.part_names import part_name
from include.storage.paths import checked_folder, checked_path
from include.storage.sized import sized

# A folder can vanish between making it and using it, when somebody deletes the last other file in it.
FOLDER_TRIES = 50


class DiskStorage:
    """The files below `root`, which must exist, and have the mark if there is one."""

    _mark: Mark | None = None
    _looked = False

    def __init__(self, root: str | os.PathLike[str], *, mark: Mark | None = None) -> None:
        self.root = Path(root)
        self._mark = mark

    def stat(self, path: str) -> FileStat | None:
        with self._errors(path):
            try:
                status = os.lstat(self._resolved(path))
            except (FileNotFoundError, NotADirectoryError):
                self._require_root()
                return None
            return file_stat(path, status) if stat.S_ISREG(status.st_mode) else None

    def open(self, path: str) -> io.FileIO:
        """Open for reading, unbuffered; for whoever needs the descriptor (packaging). Errors as for read."""
        with self._errors(path):
            # O_NONBLOCK: opening a named pipe would wait for its other end for ever.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._resolved(path), flags)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise MissingFileError(f"{self.root / path} is not a regular file")
            return io.FileIO(descriptor, "rb", closefd=True)

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self.open(path) as opened, self._errors(path):
            size = os.fstat(opened.fileno()).st_size
            end = max(offset, size if length is None else offset + length)
            if end > size:
                raise TransientError(f"{self.root / path} has only {size} bytes, not {end}")
            opened.seek(offset)
            left = end - offset
            while left:
                chunk = opened.read(min(left, CHUNK_BYTES))
                if not chunk:
                    raise TransientError(f"{self.root / path} became shorter while it was read")
                left -= len(chunk)
                yield chunk

    def write(self, path: str, chunks: Iterable[Chunk], *, size_bytes: int | None = None) -> None:
        with self.writing(path) as part:
            for chunk in sized(chunks, size_bytes=size_bytes, what=str(self.root / path)):
                with self._errors(path):
                    _write_all(part, chunk)

    @contextmanager
    def writing(self, path: str, *, durable: bool = True) -> Iterator[io.FileIO]:
        """A new file to write into. It gets its name when the context is left normally, and is removed otherwise.

        With `durable=False` it may be lost or empty after a power cut, until `flush` was called: for many small files
        (an fsync for each of 5,000 takes longer than writing them).
        """
        with self._errors(path):
            part_path, part = self._open_part(path)
        try:
            with part:
                yield part
                with self._errors(path):
                    if durable:
                        os.fsync(part.fileno())
            with self._errors(path):
                try:
                    part_path.rename(part_path.with_name(Path(path).name))
                except FileNotFoundError as error:
                    self._require_root()
                    raise TransientError(f"{part_path} was removed by somebody while it was written") from error
                if durable:
                    fsync_folder(part_path.parent)
        except BaseException:
            part_path.unlink(missing_ok=True)
            raise

    def rename(self, path: str, to: str) -> bool:
        """Give a file another name, durably; False if it is not there. No bytes are moved."""
        with self._errors(path):
            self._require_root()
            source, target = self._resolved(path), self._resolved(to)
            make_folders(target.parent)
            try:
                source.rename(target)
            except (FileNotFoundError, NotADirectoryError):
                return False
            fsync_folder(target.parent)
            fsync_folder(source.parent)
            return True

    def flush(self) -> None:
        """Everything written so far, also with `durable=False`, is on the disk afterwards."""
        os.sync()

    def flush_folders(self, paths: Iterable[str]) -> None:
        """Whatever was deleted of these paths stays so after a power cut. One fsync a folder, not one a file."""
        for folder in {path.rpartition("/")[0] for path in paths}:
            with self._errors(folder or "."):
                fsync_folder(self._nearest_folder(folder))

    def delete(self, path: str) -> bool:
        with self._errors(path):
            target = self._resolved(path)
            try:
                found = os.lstat(target)
                if not stat.S_ISREG(found.st_mode):
                    return False
                target.unlink()
            except (FileNotFoundError, NotADirectoryError):
                self._require_root()
                return False
            self._remove_empty_folders(path, made_by={found.st_uid, os.geteuid()})
            return True

    def list(self, prefix: str = "") -> Iterator[FileStat]:
        folder = checked_folder(prefix)
        with self._errors(folder or "."):
            top = self._resolved(f"{folder}/.listed").parent if folder else self.root
            self._require_root()
            yield from files_below(top, f"{folder}/" if folder else "")

    def space(self) -> Space | None:
        with self._errors("."):
            self._require_root()
            found = os.statvfs(self.root)
            usable = found.f_blocks - found.f_bfree + found.f_bavail  # without what is kept for root
            return Space(
                total_bytes=found.f_frsize * usable,
                free_bytes=found.f_frsize * found.f_bavail,
                is_read_only=bool(found.f_flag & os.ST_RDONLY),
            )

    def close(self) -> None:
        """Nothing is kept open."""

    def _resolved(self, path: str) -> Path:
        """Where the file is, links in its folders followed; BadInputError if that is not below the root."""
        wanted = self.root / checked_path(path)
        root = os.path.realpath(self.root)
        folder = os.path.realpath(wanted.parent)
        if folder != root and not folder.startswith(root.rstrip("/") + "/"):
            raise BadInputError(f"{wanted} is refused: a symbolic link leads out of {self.root}, to {folder}")
        return Path(folder) / wanted.name

    def _nearest_folder(self, folder: str) -> Path:
        """Return the folder, or what is left above it; a root that is not there is an error of `fsync_folder`."""
        found = self.root / folder
        while found != self.root and not found.is_dir():
            found = found.parent
        return found

    def _open_part(self, path: str) -> tuple[Path, io.FileIO]:
        self._require_root()
        target = self._resolved(path)
        part_path = target.with_name(part_name(target.name))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        for _ in range(FOLDER_TRIES):
            with suppress(FileNotFoundError):
                make_folders(target.parent)
                return part_path, io.FileIO(os.open(part_path, flags, 0o644), "rb+", closefd=True)
        raise TransientError(f"the folder of {target} is deleted again and again while it is made")

    def _remove_empty_folders(self, path: str, *, made_by: Collection[int]) -> None:
        """Remove those that whoever wrote the file, or we, made: an administrator's folder has its owner for a reason.

        Nobody but the administrator could make it again, and the instrument could write there no more.
        """
        for folder in list(Path(path).parents)[:-1]:  # the last parent is the root itself
            try:
                if os.lstat(self.root / folder).st_uid not in made_by:
                    return
                (self.root / folder).rmdir()
            except OSError:  # not empty, a link, or somebody else was quicker
                return

    def _require_root(self) -> None:
        if not self.root.is_dir():
            raise TransientError(f"folder {self.root} is not there: is its disk mounted on {os.uname().nodename}?")
        if self._mark is not None:
            require_mark(self.root, self._mark)

    def _look_once(self) -> None:
        """Mark it while what is known to be there is there: later on the first file that is missed may be the only one.

        Raises:
            PermanentError: it is another location's.
        """
        if self._mark is not None and not self._looked:
            with suppress(TransientError):  # whoever misses a file, or writes one, hears of it
                self._require_root()
                self._looked = True

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        self._look_once()
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOENT:
                self._require_root()
            raise disk_error(error, self.root / path) from error


def _write_all(part: io.FileIO, chunk: Chunk) -> None:
    written = part.write(chunk)
    if written < len(chunk):  # only for huge chunks, or on a disk that is filling up
        view = memoryview(chunk)
        while written < len(chunk):
            written += part.write(view[written:])
