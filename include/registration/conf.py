"""The shape of a filing: the `conf` of a run of the DAG `registration`, or what came through the API.

What it says is checked elsewhere.
"""

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails

from include.errors import FilingRefusedError
from include.plurals import counted
from include.registration.files import Doubles, FiledFile, Id, RelativePath, strange_in
from include.registration.shown import place, shown
from include.topology import Policy

DEPTH_MAX = 8
NAME_CHARACTERS_MAX = 100
VALUES_PER_FILE = 20
"""A filing holds at most so many keys and values for each inline file that it may have; more is not a filing."""


def _moment(value: object) -> datetime:
    try:
        given = datetime.fromisoformat(value) if isinstance(value, str) else None
        moment = given.astimezone(UTC) if given and given.utcoffset() is not None else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise ValueError("must be a time with its zone, such as 2026-04-01T03:20:00Z")
    if not 1970 <= moment.year < 2200:
        raise ValueError("must lie between 1970 and 2200; check the instrument's clock")
    return moment


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= NAME_CHARACTERS_MAX:
        raise ValueError("must be a name as in the topology")
    return value


Moment = Annotated[datetime, PlainValidator(_moment)]
Name = Annotated[str, PlainValidator(_name)]


class FilingConf(BaseModel):
    """Files of one observation and instrument module, inline or in a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    executed_obs_unit: Id
    """Made by the instrument."""
    instrument: Name
    instrument_module: Name
    data_location: Name
    """Full name of the SOURCE location that has the files, e.g. `ccat_source`."""
    started_at: Moment
    finished_at: Moment | None = None
    """Unset while further files of this module may be filed."""
    files: tuple[FiledFile, ...] | None = None
    manifest: RelativePath | None = None
    """Path of a JSON Lines file at the location, one object as in `files` a line."""

    @model_validator(mode="after")
    def _makes_sense(self, info: ValidationInfo) -> Self:
        if self.finished_at is not None and self.finished_at < self.started_at:
            raise ValueError(
                f"finished_at {self.finished_at:%FT%TZ} is before started_at {self.started_at:%FT%TZ}; correct one"
            )
        if info.context is _FILES_FOLLOW:
            if self.files is not None or self.manifest is not None:
                raise ValueError("its files follow, one a line: leave files and manifest out of the first line")
            return self
        if self.files is not None and self.manifest is not None:
            raise ValueError("both files and manifest are given; give one of them")
        if self.files is None and self.manifest is None:
            raise ValueError("it names no files: give files, or the path of a manifest")
        if self.files == ():
            raise ValueError("files is empty: a filing needs at least one file")
        return self


_FILES_FOLLOW = object()


def parse_conf(conf: object, *, policy: Policy, has_lines: bool = False) -> FilingConf:
    """Return the filing that `conf`, decoded JSON of any shape, describes.

    With `has_lines` it is the first line of a stream, and its files are the lines after it.

    Raises:
        FilingRefusedError: one sentence that names the first culprit and what to do.
    """
    if not isinstance(conf, dict):
        raise FilingRefusedError(f"conf is {shown(conf)}; it must be an object with the keys {_known_keys()}.")
    files = conf.get("files")
    if isinstance(files, list) and len(files) > policy.inline_files_max:
        raise FilingRefusedError(
            f"{len(files):,} files inline are more than the {policy.inline_files_max:,} allowed: write a manifest"
            " (one JSON object a line) beside the data and name it as manifest."
        )
    refuse_strange_values(conf, values_max=VALUES_PER_FILE * (policy.inline_files_max + 1))
    try:
        filing = FilingConf.model_validate(conf, context=_FILES_FOLLOW if has_lines else None)
    except ValidationError as error:
        raise FilingRefusedError(sentence_of(error)) from error
    _refuse_doubles(filing)
    return filing


def refuse_strange_values(value: object, *, values_max: int) -> None:
    """Raise FilingRefusedError for a template, a NUL, half a character, or what is no JSON of a reasonable size."""
    for count, (steps, text) in enumerate(_texts(value, ())):
        if count > values_max:
            raise FilingRefusedError(f"it holds more than {values_max:,} keys and values; many files go by manifest.")
        if strange := strange_in(text):
            raise FilingRefusedError(f"{place(steps)} {shown(text)} {strange}.")


def sentence_of(error: ValidationError, *, within: str = "") -> str:
    """Return the first mistake as a sentence; `within` says where the validated value stands."""
    mistakes = error.errors(include_url=False)
    more = f" (and {counted(len(mistakes) - 1, 'more mistake')})" if len(mistakes) > 1 else ""
    return f"{within}{_mistake(mistakes[0])}{more}."


def _mistake(mistake: ErrorDetails) -> str:
    where = place(mistake["loc"])
    match mistake["type"]:
        case "missing":
            return f"{where} is missing; add it"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{where} is not a known key; leave it out (known are {_known_keys(*mistake['loc'])})"
        case "value_error" if mistake["loc"]:
            return f"{where} {shown(mistake['input'])} {mistake['ctx']['error']}"
        case "value_error":
            return str(mistake["ctx"]["error"])
        case "dataclass_type":
            return f"{where} is {shown(mistake['input'])}; it must be an object with path and size_bytes"
        case "tuple_type":
            return f"{where} is {shown(mistake['input'])}; it must be a list of files"
        case _:
            return f"{where} is {shown(mistake['input'])}: {mistake['msg']}"


def _known_keys(*steps: str | int) -> str:
    keys = FilingConf.model_fields if len(steps) <= 1 else (field.name for field in fields(FiledFile))
    return ", ".join(keys)


def _texts(value: object, steps: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every key and every text with its place, and "" for every other value."""
    if len(steps) > DEPTH_MAX:
        raise FilingRefusedError(f"{place(steps[:2])} is nested more than {DEPTH_MAX} deep; a filing is flat.")
    match value:
        case str():
            yield steps, value
        case None | bool() | int() | float():
            yield steps, ""
        case dict():
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise FilingRefusedError(f"{place(steps)} has the key {shown(key)}; keys are text.")
                yield (*steps, key), key
                yield from _texts(inner, (*steps, key))
        case list():
            for index, inner in enumerate(value):
                yield from _texts(inner, (*steps, index))
        case _:
            raise FilingRefusedError(f"{place(steps)} is {shown(value)}, which is no JSON.")


def _refuse_doubles(filing: FilingConf) -> None:
    doubles = Doubles(filing.executed_obs_unit)
    for index, file in enumerate(filing.files or ()):
        doubles.add(file, where=place(("files", index)))


def observation_named(conf: object) -> UUID | None:
    """Return the observation that a filing of any shape names, None where it names none."""
    match conf:
        case {"executed_obs_unit": str(text)}:
            try:
                return UUID(text)
            except ValueError:
                return None
        case _:
            return None
