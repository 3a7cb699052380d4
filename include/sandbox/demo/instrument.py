"""The demo's instruments: they write files at the SOURCE, and file them over REST as real ones would."""

import json
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from pydantic import ValidationError

from include.errors import SandboxError
from include.integrity.checksum import Hasher
from include.registration.files import FiledFile
from include.registration.shown import shown
from include.sandbox.layout import Layout

SAMPLE = Path(__file__).parent / "observation"
GENERATED_BYTES = 248 * 1000 * 1000
GENERATED_FILE_BYTES = 8 * 1000 * 1000
COPY_BYTES = 1024 * 1024
TROUBLES_SHOWN = 10


@dataclass(frozen=True)
class Original:
    """A file that somebody wants to see travel."""

    path: str
    """Relative, POSIX: where it is written at the SOURCE."""
    size_bytes: int
    chunks: "Iterable[bytes]"


@dataclass(frozen=True)
class WrittenFile:
    """A file at the SOURCE."""

    path: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True)
class Observation:
    """An observation of one module whose files lie at the SOURCE, finished."""

    id: UUID
    instrument: str
    module: str
    files: tuple[WrittenFile, ...]

    @property
    def size_bytes(self) -> int:
        """Sum of the files' sizes."""
        return sum(file.size_bytes for file in self.files)


def observe(source: Path, *, instrument: str, module: str, originals: Iterable[Original]) -> Observation:
    """Write files as an instrument does: each is complete before it is filed. `source` owns what is written."""
    files = tuple(_write(source, original) for original in originals)
    return Observation(id=uuid4(), instrument=instrument, module=module, files=files)


def conf_of(observation: Observation, *, source: Path, location: str, inline_files_max: int) -> dict[str, object]:
    """Return the conf that files an observation; a long list of files goes into a manifest beside the data."""
    entries = [
        {"path": file.path, "size_bytes": file.size_bytes, "checksum": file.checksum} for file in observation.files
    ]
    finished = datetime.now(UTC)
    conf: dict[str, object] = {
        "executed_obs_unit": str(observation.id),
        "instrument": observation.instrument,
        "instrument_module": observation.module,
        "data_location": location,
        "started_at": (finished - timedelta(minutes=10)).isoformat(),
        "finished_at": finished.isoformat(),
    }
    if len(entries) <= inline_files_max:
        return conf | {"files": entries}
    manifest = Original(
        path=f"filings/{observation.id}.jsonl",
        size_bytes=0,
        chunks=(f"{json.dumps(entry)}\n".encode() for entry in entries),
    )
    return conf | {"manifest": _write(source, manifest).path}


def sample_originals(instrument: str) -> Iterator[Original]:
    """Yield the bundled real files of an instrument, under its own name."""
    yield from folder_originals(SAMPLE / instrument, prefix=f"{instrument}/")


def generated_originals() -> Iterator[Original]:
    """Yield made-up files in Prime-Cam's layout; the same ones each time."""
    for number in range(GENERATED_BYTES // GENERATED_FILE_BYTES):
        yield Original(
            path=f"primecam/17638/rfsoc{number % 4 + 1:02d}_drone1/1763800000_{number // 4:03d}.g3",
            size_bytes=GENERATED_FILE_BYTES,
            chunks=_noise(number, GENERATED_FILE_BYTES),
        )


def require_fileable(folder: Path) -> None:
    """Look at every file below a folder before anything is started: for one bad name the whole filing is refused.

    Raises:
        SandboxError: there are no files, or some cannot be read, or have names that no filing may hold.
    """
    layout = Layout.of()
    for own in (layout.base, layout.private):
        inside, outside = own.resolve(), folder.resolve()
        if inside.is_relative_to(outside) or outside.is_relative_to(inside):
            raise SandboxError(f"The sandbox itself writes to {own}: name a folder apart from it, not {folder}.")
    troubles = []
    count = 0
    for relative, path in _regular_files(folder, notice=[]):
        count += 1
        try:
            FiledFile(path=relative, size_bytes=0)
        except ValidationError as error:
            troubles.append(f"  {shown(relative)} {error.errors()[0]['msg'].removeprefix('Value error, ')}")
        if not os.access(path, os.R_OK):
            troubles.append(f"  {shown(relative)} cannot be read")
    if not count:
        raise SandboxError(f"{folder} has no files in it.")
    if troubles:
        more = [f"  and {len(troubles) - TROUBLES_SHOWN:,} more"] if len(troubles) > TROUBLES_SHOWN else []
        lines = "\n".join([*troubles[:TROUBLES_SHOWN], *more])
        raise SandboxError(f"Not every file in {folder} can be sent; rename these, or make them readable:\n{lines}")


def folder_originals(folder: Path, *, prefix: str = "", notice: list[str] | None = None) -> Iterator[Original]:
    """Yield every file below a folder; what is no file (a pipe, a broken link) is passed over with a notice.

    Raises:
        SandboxError: a folder or a file cannot be read.
    """
    for relative, path in _regular_files(folder, notice=[] if notice is None else notice):
        yield Original(path=prefix + relative, size_bytes=path.stat().st_size, chunks=_read(path))


def _regular_files(folder: Path, *, notice: list[str]) -> Iterator[tuple[str, Path]]:
    for parent, folders, names in os.walk(folder, onerror=_cannot_be_read):
        folders.sort()
        passed_over = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in (*passed_over, *sorted(names)):
            path = Path(parent) / name
            relative = path.relative_to(folder).as_posix()
            if name in passed_over or not path.is_file():
                notice.append(f"passed over, no regular file: {relative}")
            else:
                yield relative, path


def _cannot_be_read(error: OSError) -> None:
    raise SandboxError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(COPY_BYTES):
                yield chunk
    except OSError as error:
        raise SandboxError(f"{path} cannot be read: {error.strerror}.") from error


def _noise(seed: int, size_bytes: int) -> Iterator[bytes]:
    numbers = random.Random(seed)  # made-up detector data, not a secret
    for start in range(0, size_bytes, COPY_BYTES):
        yield numbers.randbytes(min(COPY_BYTES, size_bytes - start))


def _write(source: Path, original: Original) -> WrittenFile:
    target = source / original.path
    owner = source.stat()
    missing = [parent for parent in target.parents if source in parent.parents and not parent.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    hasher = Hasher()
    size_bytes = 0
    with target.open("xb") as file:
        for chunk in original.chunks:
            hasher.update(chunk)
            size_bytes += file.write(chunk)
    if os.geteuid() == 0:
        for path in (target, *missing):
            os.chown(path, owner.st_uid, owner.st_gid)
    return WrittenFile(path=original.path, size_bytes=size_bytes, checksum=hasher.value())
