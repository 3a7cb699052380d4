"""What the API needs from around it: from Airflow in the api-server, from a test's own hands in a test."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request

from include.access.caller import Caller
from include.api.decisions import Decisions
from include.api.ops_db import OpsDb
from include.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a request is answered with."""

    ops_db: OpsDb
    topology: Callable[[], Topology]
    """That of this process's file."""
    person: Callable[[Request], Awaitable[Caller | None]]
    """Who calls, by an account of Airflow's; None: nobody."""
    ring: Callable[[], None]
    """Have registration look for work soon. Never fails and never waits."""
    decisions: Decisions


def services_of(request: Request) -> Services:
    """Return the services of the application that a request came to."""
    services: Services = request.app.state.services
    return services
