"""What is sent: of a known type, not too large, and on disk rather than in memory."""

import hashlib
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, BinaryIO, cast

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.api.problems import ProblemError, problem_of
from include.sizes import size

JSON = "application/json"
NDJSON = "application/x-ndjson"
JSON_BYTES_MAX = 4 * 10**6
NDJSON_BYTES_MAX = 100 * 10**6
IN_MEMORY_BYTES = 10**6
"""More of a body is on disk."""
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class BodyLimits:
    """Refuses what is too large as soon as that is known, before and while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        most_bytes = NDJSON_BYTES_MAX if media_type_of(request) == NDJSON else JSON_BYTES_MAX
        told = request.headers.get("Content-Length", "")
        if told.isdecimal() and int(told) > most_bytes:
            await problem_of(request, _too_large(most_bytes))(scope, receive, send)
            return
        received_bytes = 0

        async def limited() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > most_bytes:
                raise _too_large(most_bytes)
            return message

        await self._app(scope, limited, send)


@dataclass(frozen=True)
class Body:
    """What was sent, from its first byte on."""

    file: BinaryIO
    sha256: str
    media_type: str


async def body_of(request: Request) -> Body:
    """Receive what is sent; whoever asked closes the file."""
    file = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))  # noqa: SIM115
    digest = hashlib.sha256()
    try:
        async for chunk in request.stream():
            digest.update(chunk)
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return Body(file, digest.hexdigest(), media_type_of(request))


def media_type_of(request: Request) -> str:
    """Return the type of what is sent, without its parameters."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class JsonRoute(APIRoute):
    """A route that takes JSON, plain; one for files takes lines of it, too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = (JSON, NDJSON) if self.path.endswith("/files") else (JSON,)

        async def handler(request: Request) -> Response:
            if request.method in WITH_BODY:
                _require_known(request, known)
            return await handle(request)

        return handler


def _require_known(request: Request, known: tuple[str, ...]) -> None:
    media_type = media_type_of(request)
    if media_type not in known:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type is {media_type or 'missing'}: send {' or '.join(known)}.",
        )
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding is not understood: send it plain.")


def _too_large(most_bytes: int) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"More than {size(most_bytes)} is too much: stream files as {NDJSON}, and file them in parts.",
    )
