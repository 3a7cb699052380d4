"""What a client needs to know: from Python, or from an ini file that `dts-file` reads."""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import WrongInputError
from .filed_path import name_of
from .usage import Limits

SECTION = "dts-file"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Settings:
    """All of it is the same for every observation of an instrument on a host."""

    spool: Path
    """A folder on a disk of this host, not on the network."""
    root: Path
    """Where the root of the data location is on this host; files are filed relative to it."""
    instrument: str
    data_location: str
    """Full name of the SOURCE location in the topology, such as `ccat_primecam`."""
    server: str = ""
    """Such as `https://dts.example.org/dts`."""
    token_file: Path | None = None
    """Holds the service token. It is read for each request, so a new token needs no restart."""
    ca_file: Path | None = None
    """The certificate that signed the server's, where the usual ones did not."""
    module: str = ""
    """Of the instrument, for files that are added without one."""
    hashes: bool = False
    """Compute a checksum of each file before it is filed (package xxhash)."""
    hash_mb_per_second: float = 200.0
    """No faster than this, so that the instrument's disk is not kept busy."""
    limits: Limits = field(default_factory=Limits)

    def checked(self, *, sends: bool = True) -> Settings:
        """Return it, if it makes sense. Raises WrongInputError."""
        name_of(self.instrument, what="instrument")
        name_of(self.data_location, what="data_location")
        if self.module:
            name_of(self.module, what="module")
        if not Path(self.root).is_dir():
            raise WrongInputError(f"root {str(self.root)!r} is no folder; name the root of {self.data_location} here.")
        if self.hash_mb_per_second <= 0:
            raise WrongInputError(f"hash_mb_per_second {self.hash_mb_per_second} must be more than 0.")
        if sends:
            self._require_server()
        return self

    def _require_server(self) -> None:
        parts = urlsplit(self.server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise WrongInputError(f"server {self.server!r} is no address such as https://dts.example.org/dts.")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise WrongInputError(f"server {self.server!r} would get the token unencrypted; give an https:// address.")
        if self.token_file is None:
            raise WrongInputError("token_file is not set: name the file that holds the service token.")


def read_settings(path: Path) -> Settings:
    """Read the section [dts-file] of an ini file; its keys are the names of Settings and of Limits.

    Raises:
        WrongInputError: it cannot be read, or a key is missing, unknown or wrong.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
        values = dict(parser[SECTION])
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise WrongInputError(f"The settings {path} cannot be read: {error}") from error
    except KeyError as error:
        raise WrongInputError(f"The settings {path} have no section [{SECTION}].") from error
    own, limits = {one.name for one in fields(Settings)} - {"limits"}, {one.name for one in fields(Limits)}
    for key in values:
        if key not in own | limits:
            raise WrongInputError(f"{path}: {key!r} is unknown; there are {', '.join(sorted(own | limits))}.")
    for key in ("spool", "root", "instrument", "data_location"):
        if not values.get(key):
            raise WrongInputError(f"{path}: {key} is missing.")
    try:
        given: dict[str, Any] = {key: _value(key, text) for key, text in values.items()}
    except ValueError as error:
        raise WrongInputError(f"{path}: {error}.") from error
    return Settings(
        **{key: value for key, value in given.items() if key in own},
        limits=Limits(**{key: value for key, value in given.items() if key in limits}),
    )


def _value(key: str, text: str) -> object:
    try:
        if key in ("spool", "root", "token_file", "ca_file"):
            return Path(text).expanduser()
        if key == "hashes":
            return {"yes": True, "true": True, "no": False, "false": False}[text.lower()]
        if key == "hash_mb_per_second":
            return float(text)
        return int(text.replace("_", "")) if key.endswith("_max") else text
    except (KeyError, ValueError) as error:
        raise ValueError(f"{key} = {text!r} is wrong") from error
