"""The API as it is mounted in Airflow's web server, on a real ops-db, without Airflow and without a socket."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from include.access.caller import Caller
from include.access.roles import Role, Scope
from include.access.tokens import make_token
from include.api.app import PREFIX, create_app
from include.api.decisions import Decisions
from include.api.ops_db import OpsDb
from include.api.services import Services
from include.page.app import add_page
from tests.observatory import Observatory


class ImpatientDecisions(Decisions):
    """As real, but a test can say that nobody waits for long."""

    most_seconds = 60.0

    async def wait(self, filing_id: int, *, seconds: float) -> None:
        await super().wait(filing_id, seconds=min(seconds, self.most_seconds))


@dataclass
class Api:
    """The API of an observatory, and those who call it."""

    observatory: Observatory
    people: dict[str, Caller] = field(default_factory=dict)
    """Who is logged in with Airflow, by the word that stands for his token."""
    rings: int = 0

    def __post_init__(self) -> None:
        ops_db = OpsDb(lambda: self.engine)
        self.decisions = ImpatientDecisions(ops_db)
        app = create_app(
            Services(
                ops_db=ops_db,
                topology=lambda: self.observatory.topology,
                person=self._person,
                ring=self._ring,
                decisions=self.decisions,
            )
        )
        self.app = add_page(app, stream_seconds=0)
        self.mounted = FastAPI()
        self.mounted.mount(PREFIX, self.app)

    @property
    def engine(self) -> Engine:
        return self.observatory.engine

    def client(self, token: str | None) -> httpx.AsyncClient:
        """A client with this token; errors that the API does not answer are raised in the test."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.mounted, raise_app_exceptions=True)
        return httpx.AsyncClient(transport=transport, base_url="http://dts/dts", headers=headers)

    def token(
        self,
        account: str,
        role: Role,
        *,
        instruments: tuple[str, ...] = (),
        scopes: tuple[Scope, ...] = (),
        lasts: timedelta = timedelta(hours=1),
    ) -> str:
        """Make a token of a service."""
        with Session(self.engine) as session, session.begin():
            made = make_token(
                session,
                account=account,
                role=role,
                instruments=instruments,
                scopes=scopes,
                expires_at=datetime.now(UTC) + lasts,
                made_by="tests",
            )
        return made.secret

    async def _person(self, request: Request) -> Caller | None:
        return self.people.get(request.headers.get("Authorization", "").removeprefix("Bearer "))

    def _ring(self) -> None:
        self.rings += 1


@pytest.fixture
def api(observatory: Observatory) -> Api:
    return Api(observatory)


@pytest.fixture
async def primecam(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """The client of an instrument."""
    async with api.client(api.token("primecam", Role.INSTRUMENT, instruments=("primecam",))) as client:
        yield client


@pytest.fixture
async def viewer(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """The client of somebody who may read everything."""
    async with api.client(api.token("viewer", Role.VIEWER)) as client:
        yield client
