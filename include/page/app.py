"""The page beside the API: `/dts/page/`, for whoever is logged in."""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from include.access.roles import Action
from include.api.access import may
from include.api.services import Services
from include.page.live import STREAM_SECONDS, Watch
from include.page.routes import (
    account,
    actions,
    deletions,
    flow,
    life,
    plots,
    rooms,
    runs,
    search,
    staging,
)

STATIC = Path(__file__).parent / "static"
ROUTERS = (
    account.router,
    flow.router,
    actions.router,
    deletions.router,
    search.router,
    life.router,
    rooms.router,
    staging.router,
    runs.router,
    plots.router,
)
HEADERS = {
    # Nothing but what stands in static/ runs, and only Airflow's own page may hold it in a frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # Asked for anew each time, and answered by 304: after an update nobody has half of the old page.
    "Cache-Control": "no-cache",
}


def add_page(app: FastAPI, *, stream_seconds: float = STREAM_SECONDS) -> FastAPI:
    """Put the page beside the API, and what it asks for under /api/v1."""
    services: Services = app.state.services
    app.state.watch = Watch(services.ops_db, services.topology, stream_seconds=stream_seconds)
    v1 = APIRouter(prefix="/api/v1")
    for router in ROUTERS:
        v1.include_router(router)
    app.include_router(v1)
    files = StaticFiles(directory=STATIC, html=True)

    @app.get("/page/{path:path}", include_in_schema=False, dependencies=[may(Action.OPEN_PAGE)])
    async def page(request: Request, path: str) -> Response:
        answer = await files.get_response(path or ".", request.scope)
        answer.headers.update(HEADERS)
        return answer

    return app
