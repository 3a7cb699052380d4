"""Who calls: nothing is answered before that is known, but whether this server lives.

It stands before the routes, so that no route can be forgotten; the body of a stranger is not even read.
"""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.security.utils import get_authorization_scheme_param
from starlette.types import ASGIApp, Receive, Scope, Send

from include.access.caller import Caller
from include.access.tokens import PREFIX, caller_with
from include.api.problems import ProblemError, problem_of
from include.api.services import Services

LIVE = "/health/live"
"""The only thing that strangers see."""


class Authentication:
    """Puts the caller into each request's state, or answers 401."""

    def __init__(self, app: ASGIApp, *, application: FastAPI) -> None:
        self._app = app
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _path(scope) == LIVE:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            caller = await _caller(request, self._application.state.services)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets further
            await problem_of(request, error)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


def caller_of(request: Request) -> Caller:
    """Return who calls."""
    caller: Caller = request.state.caller
    return caller


async def _caller(request: Request, services: Services) -> Caller:
    scheme, word = get_authorization_scheme_param(request.headers.get("Authorization"))
    if scheme.lower() == "bearer" and word.startswith(PREFIX):
        found = await services.ops_db.change(lambda session: caller_with(session, word))
        if found is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED, "This token is unknown, revoked or over; `dts token create` makes another."
            )
        return found
    person = await services.person(request)
    if person is None:
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "Nobody is logged in: send `Authorization: Bearer` with a token of `dts token create` or of Airflow's own.",
        )
    return person


def _path(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))
