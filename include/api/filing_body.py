"""The two forms of a filing in the body of a request: JSON, and a stream of lines."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from include.api.bodies import JSON, NDJSON, Body
from include.api.problems import ProblemError
from include.errors import FilingRefusedError
from include.registration.lines import LINES_MAX
from include.registration.manifest import LINE_BYTES_MAX, json_in
from include.registration.receive import Sent

UNPROCESSABLE = 422


@dataclass(frozen=True, kw_only=True)
class SentFiling:
    """A filing as it came, with the observation of its address."""

    conf: dict[str, object]
    sent: Sent

    @property
    def instrument(self) -> object:
        """As it says, be it what it may."""
        return self.conf.get("instrument")


def sent_filing(body: Body, *, observation: UUID) -> SentFiling:
    """Read what was sent as far as it can be told to be a filing; of a stream that is the first line.

    Raises:
        ProblemError: it is no JSON, or no object, or it names an observation, which its address does.
    """
    streamed = body.media_type == NDJSON
    first = body.file.readline(LINE_BYTES_MAX + 1) if streamed else body.file.read()
    where = "line 1" if streamed else "the body"
    try:
        conf = json_in(first, where=where, wanted="it must be one JSON object")
    except FilingRefusedError as error:
        raise ProblemError(UNPROCESSABLE, str(error)) from error
    if not isinstance(conf, dict):
        raise ProblemError(UNPROCESSABLE, f"{where} must be a JSON object: a filing.")
    if "executed_obs_unit" in conf:
        raise ProblemError(UNPROCESSABLE, "executed_obs_unit is what the address names; leave it out of the filing.")
    named: dict[str, object] = {"executed_obs_unit": str(observation)}
    return SentFiling(conf=named | conf, sent=Sent(content_sha256=body.sha256, lines=body.file if streamed else None))


_TIME = {"type": "string", "format": "date-time", "example": "2026-04-01T03:20:00Z"}
_UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_FILE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["path", "size_bytes"],
    "properties": {
        "path": {"type": "string", "minLength": 1, "description": "Relative to the location's root, POSIX."},
        "size_bytes": {"type": "integer", "minimum": 0, "maximum": 5 * 2**40},
        "checksum": {"type": "string", "pattern": "^xxh3-128:[0-9a-f]{32}$"},
        "id": {"type": "string", "pattern": _UUID},
    },
}
_HEAD = {
    "instrument": {"type": "string", "minLength": 1, "maxLength": 100},
    "instrument_module": {"type": "string", "minLength": 1, "maxLength": 100},
    "data_location": {"type": "string", "minLength": 1, "maxLength": 100},
    "started_at": _TIME,
    "finished_at": _TIME,
}
_EXAMPLE = {
    "instrument": "primecam",
    "instrument_module": "mod280",
    "data_location": "ccat_source",
    "started_at": "2026-04-01T03:20:00Z",
}
_FILE_EXAMPLE = {"path": "17750/rfsoc01_drone1/1775012400_000.g3", "size_bytes": 10240}

FILING_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "required": ["instrument", "instrument_module", "data_location", "started_at"],
                "properties": _HEAD
                | {
                    "files": {"type": "array", "minItems": 1, "maxItems": 500, "items": _FILE},
                    "manifest": {
                        "type": "string",
                        "minLength": 1,
                        "description": "Instead of files: a JSON Lines file.",
                    },
                },
            },
            "example": _EXAMPLE | {"files": [_FILE_EXAMPLE]},
        },
        NDJSON: {
            "schema": {
                "type": "string",
                "description": "The filing without files; then one file a line, at most " + f"{LINES_MAX:,}.",
            },
        },
    },
}
