"""What is in a package and where: enough to verify the whole, any block, and any member by itself.

A package may have 50,000 members; `to_json` and `from_json` take a fraction of a second for that many.
"""

from itertools import pairwise
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, field_validator, model_validator

from include.errors import BadInputError
from include.storage.paths import checked_path


class Member(BaseModel):
    """One raw data file in a package. `offset_bytes` is where its content (not its tar header) starts in the tar."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size_bytes: NonNegativeInt
    offset_bytes: NonNegativeInt
    checksum: str
    raw_data_file_id: UUID

    @field_validator("path")
    @classmethod
    def _path_stays_below(cls, path: str) -> str:
        """A manifest comes from another site, and staging makes files of its members."""
        try:
            return checked_path(path)
        except BadInputError as error:
            raise ValueError(str(error)) from error

    @property
    def end_bytes(self) -> int:
        return self.offset_bytes + self.size_bytes


class PackageManifest(BaseModel):
    """A package and its members, in the order in which they lie in the tar."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size_bytes: NonNegativeInt
    checksum: str
    block_bytes: PositiveInt
    block_checksums: tuple[str, ...]
    members: tuple[Member, ...]

    @model_validator(mode="after")
    def _places_make_sense(self) -> Self:
        blocks = -(-self.size_bytes // self.block_bytes)
        if len(self.block_checksums) != blocks:
            raise ValueError(
                f"{self.name}: {self.size_bytes} bytes are {blocks} blocks, not {len(self.block_checksums)}"
            )
        for before, after in pairwise(self.members):
            if after.offset_bytes < before.end_bytes:
                raise ValueError(f"{self.name}: members {before.path!r} and {after.path!r} overlap")
        if self.members and self.members[-1].end_bytes > self.size_bytes:
            raise ValueError(f"{self.name}: member {self.members[-1].path!r} ends beyond the package")
        return self

    def to_json(self) -> str:
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises pydantic.ValidationError (a ValueError) that names the wrong field."""
        return cls.model_validate_json(text)
