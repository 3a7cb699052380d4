"""Errors as people and programs can read them: application/problem+json (RFC 9457)."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from include.errors import BadInputError, DtsError, TopologyError, TransientError, WaitingError
from include.plurals import counted
from include.registration.observations import ContradictionError, UnknownObservationError
from include.registration.receive import OtherContentError
from include.registration.shown import place, shown

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5


class Problem(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(json_schema_extra={"example": {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no filing 17.",
        "instance": "/dts/api/v1/filings/17",
    }})  # fmt: skip

    type: str = "about:blank"
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    """A sentence that names the culprit, and the way out."""
    instance: str
    """Path of the request."""


class ProblemError(HTTPException):
    """Ends a request with a problem."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)


@contextmanager
def not_found() -> Iterator[None]:
    """Answer 404 where the block finds that there is no such thing."""
    try:
        yield
    except BadInputError as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from error


def problem(request: Request, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem as a response."""
    content = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, instance=request.url.path)
    more = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        more.setdefault("WWW-Authenticate", "Bearer")
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        more.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return JSONResponse(content.model_dump(), status, media_type=MEDIA_TYPE, headers=more)


def add_problems(app: FastAPI) -> None:
    """Have every error of the application answered by a problem."""
    for kind in (
        HTTPException,
        RequestValidationError,
        DtsError,
        DBAPIError,
        NoConnectionError,
        ClientDisconnect,
        Exception,
    ):
        app.add_exception_handler(kind, problem_of)


def problem_of(request: Request, error: Exception) -> Response:
    """Return the answer to a request that ended with an error."""
    match error:
        case HTTPException():
            return _of_http(request, error)
        case RequestValidationError():
            return _of_validation(request, error)
        case DtsError():
            return problem(request, _status_of(error), str(error))
        case ClientDisconnect():
            return problem(request, HTTPStatus.BAD_REQUEST, "The connection ended before all was sent; send it again.")
        case OperationalError() | InterfaceError() | NoConnectionError():
            logger.warning("ops-db cannot answer now: %s", error)
            busy = "The operations database cannot answer now; try again in a moment."
            return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, busy)
        case _:
            logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
            mistake = "This is our mistake; the api-server's log says what happened."
            return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, mistake)


def _of_http(request: Request, error: HTTPException) -> Response:
    detail = str(error.detail)
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"There is nothing at {request.url.path}; /dts/openapi.json says what there is."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(_methods_at(request)))
        detail = f"{request.method} is not possible at {request.url.path}, but {allowed}."
        return problem(request, error.status_code, detail, headers={"Allow": allowed})
    return problem(request, error.status_code, detail, headers=error.headers)


def _methods_at(request: Request) -> set[str]:
    """Return what is possible at an address: its routes stand apart, and each knows only of itself."""
    routes = (route for route in request.app.routes if isinstance(route, APIRoute))
    return {method for route in routes if route.matches(request.scope)[0] != Match.NONE for method in route.methods}


def _of_validation(request: Request, error: RequestValidationError) -> Response:
    mistakes = error.errors()
    mistake = mistakes[0]
    more = f" (and {counted(len(mistakes) - 1, 'more mistake')})" if len(mistakes) > 1 else ""
    told = "is missing; add it" if mistake["type"] == "missing" else f"{shown(mistake['input'])}: {mistake['msg']}"
    told = told.replace("Value error, ", "")
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, f"{place(mistake['loc'])} {told}{more}.")


def _status_of(error: DtsError) -> HTTPStatus:
    match error:
        case UnknownObservationError():
            return HTTPStatus.NOT_FOUND
        case ContradictionError() | OtherContentError():
            return HTTPStatus.CONFLICT
        case BadInputError():
            return HTTPStatus.UNPROCESSABLE_ENTITY
        case TopologyError() | TransientError() | WaitingError():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case _:
            return HTTPStatus.INTERNAL_SERVER_ERROR
