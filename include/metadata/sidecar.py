"""The sidecar of an archived package: `<key without .tar>.json`, enough to read and check the tar with nothing else."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from include.integrity.manifest import PackageManifest
from include.metadata.obscore import ObsCore


class Sidecar(BaseModel):
    """What stands in the JSON file. Sizes and offsets in bytes, checksums with their algorithm (`xxh3-128:…`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["ccat raw data package 1"] = "ccat raw data package 1"
    executed_obs_unit: UUID
    instrument: str
    instrument_module: str
    number: int
    """1, 2, … within the observation and module."""
    key: str
    obscore: ObsCore
    manifest: PackageManifest

    def to_json(self) -> bytes:
        """Return UTF-8; the same content gives the same bytes."""
        return f"{self.model_dump_json(indent=1)}\n".encode()


def sidecar_key(key: str) -> str:
    """Return the sidecar's key for a package's: `a/b.tar` to `a/b.json`."""
    return f"{key.removesuffix('.tar')}.json"
