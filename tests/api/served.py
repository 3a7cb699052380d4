"""The API behind a real socket, in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from include.api.app import PREFIX
from tests.api.conftest import Api


class Below:
    """An application under a prefix, whatever stands in its address: a mount of Starlette's lets no line end pass."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope | {"root_path": PREFIX} if scope["type"] == "http" else scope, receive, send)


@contextmanager
def served(api: Api, *, port: int = 0) -> Iterator[str]:
    """Serve it; yield the address under which Airflow would have it."""
    server = uvicorn.Server(uvicorn.Config(Below(api.app), host="127.0.0.1", port=port, log_level="warning"))
    socket = server.config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}{PREFIX}"
    finally:
        server.should_exit = True
        thread.join()
        socket.close()
