"""What /dts/openapi.json says beyond what the routes say themselves."""

from http import HTTPStatus
from typing import Any

from include.api.problems import MEDIA_TYPE, Problem

_WORDS = {
    400: "The request is no HTTP that makes sense.",
    401: "Nobody is logged in, or the token is over.",
    403: "This account may not do this.",
    404: "There is no such thing, or not for this account.",
    405: "This method is not possible here.",
    409: "It contradicts what was sent before.",
    413: "Too large.",
    415: "Not the right Content-Type.",
    422: "Something of it makes no sense; the sentence names the first culprit.",
    429: "Too many requests: wait for Retry-After.",
    503: "The server cannot now: wait for Retry-After, then send the same again.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the errors of a route for its documentation: these, and those that every route has."""
    everywhere = (400, 401, 403, 413, 415, 422, 503)
    return {
        status: {
            "model": Problem,
            "description": _WORDS.get(status, HTTPStatus(status).phrase),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*everywhere, *statuses})
    }
