"""What a watcher has filed already, on disk: a small file for each folder, as long as that folder is there.

It is written after the spool. Killed in between, the watcher adds the same files once more, and neither the spool nor
the server makes two of them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .durable import FOLDER_MODE, append, read, spool_errors, sync_folder
from .segment import line_of

FINISHED = "finished.jsonl"


class WatchedState:
    """State of one watched directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with spool_errors(path, "Making"):
            path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            sync_folder(path.parent)

    def filed(self, folder: str) -> tuple[set[str], dict[str, str]]:
        """Return the names that were filed from a folder, and when the observations in it began."""
        names: set[str] = set()
        starts: dict[str, str] = {}
        for value in _values(read(self._of(folder))):
            names.update(value.get("names", ()))
            if "observation" in value:
                starts[value["observation"]] = value["started_at"]
        return names, starts

    def remember(self, folder: str, *, observation: str, started_at: str, names: Iterable[str]) -> None:
        """Write down what was filed. Raises SpoolError."""
        value = {"observation": observation, "started_at": started_at, "names": list(names)}
        self._append(self._of(folder), line_of(value), header=line_of({"folder": folder}))

    def finished(self) -> set[str]:
        """Return the observations that were finished."""
        return {value["observation"] for value in _values(read(self._path / FINISHED)) if "observation" in value}

    def remember_finished(self, observation: str) -> None:
        """Write down that an observation is finished. Raises SpoolError."""
        self._append(self._path / FINISHED, line_of({"observation": observation}), header=b"")

    def forget_gone(self, directory: Path) -> None:
        """Remove the state of folders that are there no more. Raises SpoolError."""
        with spool_errors(self._path, "Tidying"):
            for path in self._path.glob("*.folder"):
                first = next(iter(_values(read(path))), {})
                if not (directory / str(first.get("folder", ""))).is_dir():
                    path.unlink()

    def _of(self, folder: str) -> Path:
        return self._path / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.folder"

    def _append(self, path: Path, line: bytes, *, header: bytes) -> None:
        descriptors: list[int] = []
        with spool_errors(path, "Writing"):
            try:
                append(path, line, header=header, descriptors=descriptors)
                for descriptor in descriptors:
                    os.fsync(descriptor)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)


def _values(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.split(b"\n")[:-1]]
