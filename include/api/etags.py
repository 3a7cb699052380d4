"""ETags: a single thing that has not changed is not sent again."""

import hashlib
from http import HTTPStatus

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response


def answered(request: Request, thing: BaseModel, *, status: int = HTTPStatus.OK, location: str = "") -> Response:
    """Return a thing as JSON with its ETag; 304 without it if the client has this very one."""
    content = thing.model_dump_json().encode()
    headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
    if location:
        headers["Location"] = location
    asked = request.method in {"GET", "HEAD"} and status == HTTPStatus.OK
    if asked and _matches(request.headers.get("If-None-Match", ""), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(content, status_code=status, media_type="application/json", headers=headers)


def _matches(asked: str, etag: str) -> bool:
    known = {part.strip().removeprefix("W/") for part in asked.split(",")}
    return etag in known or "*" in known
