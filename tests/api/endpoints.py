"""Every endpoint of the API with a request that makes sense, found in the application itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from fastapi.routing import APIRoute

from include.access.roles import Action
from include.api.access import action_of
from tests.api.test_filing import FILES, FINISHED, HEAD, STARTED
from tests.registration.filings import inline

VALUES = {
    "observation": lambda: str(uuid4()),
    "filing": lambda: "1",
    "package": lambda: "package:1",
    "transfer": lambda: "1",
    "job": lambda: "1",
    "subject:path": lambda: "package:1",
    "path:path": lambda: "index.html",
    "brake": lambda: "1",
    "pin": lambda: "1",
    "location": lambda: "cologne_processing",
}
BODIES: dict[str, Any] = {
    "start": {"instrument": "primecam", "started_at": STARTED},
    "finish": {"finished_at": FINISHED},
    "file": HEAD | {"files": inline(FILES)},
    "ask_for": {"subjects": ["package:1"], "location": "cologne_processing", "until": "2199-01-01T00:00:00Z"},
    "extend": {"until": "2199-01-01T00:00:00Z"},
    "retry": {"operations": [1], "reason": "the disk is mended"},
    "flag": {"reason": "a supernova"},
    "pin": {"subject": "package:1", "reason": "it is being looked at"},
    "answer_brake": {"answer": "refused", "reason": "not before the meeting"},
    "lift_brake": {"reason": "the meeting is over"},
}


@dataclass(frozen=True)
class Endpoint:
    """A method at a path, and what it is for."""

    method: str
    path: str
    action: Action | None
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def address(self) -> str:
        """A path that makes sense; what it names does not exist."""
        path = self.path
        for name, value in VALUES.items():
            path = path.replace(f"{{{name}}}", value())
        return path


def endpoints(app: FastAPI) -> Iterator[Endpoint]:
    """All of them."""
    for route in app.routes:
        assert isinstance(route, APIRoute), route
        for method in sorted(route.methods):
            yield Endpoint(
                method, route.path, action_of(route.dependant.dependencies), BODIES.get(route.endpoint.__name__)
            )
