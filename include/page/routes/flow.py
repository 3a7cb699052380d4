"""The flow: once, or as it changes."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response, StreamingResponse

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.page.flow import Flow
from include.page.live import Watch, as_events

router = APIRouter(prefix="/flow", tags=["page"])


def watch_of(request: Request) -> Watch:
    """Return the one who looks, of the application that a request came to."""
    watch: Watch = request.app.state.watch
    return watch


@router.get("", response_model=Flow, responses=problems(), dependencies=[may(Action.READ_PLACES)])
async def flow(request: Request) -> Response:
    """Return what is at each stage and on each route now."""
    look = await watch_of(request).latest()
    return Response(look.content, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses=problems() | {200: {"content": {"text/event-stream": {}}}},
    dependencies=[may(Action.READ_PLACES)],
)
async def events(
    request: Request,
    last_event_id: Annotated[str, Header(max_length=100)] = "",
    accept: Annotated[str, Header(max_length=1000)] = "",
) -> Response:
    """Send the flow whenever it changes, as server-sent events; ends after a minute: ask again.

    Who does not say that he takes events (`Accept: text/event-stream`) gets one, and the end.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    content = as_events(watch_of(request), seen=last_event_id, once="text/event-stream" not in accept)
    return StreamingResponse(content, media_type="text/event-stream", headers=headers)
