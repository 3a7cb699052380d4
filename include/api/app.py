"""The application that Airflow's api-server mounts under /dts."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse, Response

from include.access.roles import Action
from include.api.access import may
from include.api.authentication import LIVE, Authentication
from include.api.bodies import BodyLimits
from include.api.problems import add_problems
from include.api.routes import (
    copies,
    explanations,
    filings,
    health,
    observations,
    packages,
    places,
    staging_jobs,
    system,
    transfers,
)
from include.api.services import Services

ROUTERS = tuple(
    module.router
    for module in (observations, filings, packages, transfers, copies, staging_jobs, places, explanations, health)
)
PREFIX = "/dts"
"""Where it is mounted."""


def create_app(services: Services) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="CCAT Data Transfer System", version="1", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.services = services
    add_problems(app)
    # The last one added is the first that a request meets.
    app.add_middleware(BodyLimits)
    app.add_middleware(Authentication, application=app)
    v1 = APIRouter(prefix="/api/v1")
    for router in ROUTERS:
        v1.include_router(router)
    app.include_router(v1)
    app.include_router(system.router)

    @app.get(LIVE, include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/openapi.json", include_in_schema=False, dependencies=[may(Action.READ_DESCRIPTION)])
    async def description() -> Response:
        return JSONResponse(described(app))

    return app


def described(app: FastAPI) -> dict[str, Any]:
    """Return the description of the API (OpenAPI)."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            summary="Filing data, and finding out where it is.",
            routes=app.routes,
            servers=[{"url": PREFIX}],
        )
        schema["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "Of `dts token create`, or Airflow's own."}
        }
        schema["security"] = [{"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema
