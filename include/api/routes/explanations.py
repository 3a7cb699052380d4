"""Where something is and why; and its life so far. The words are those of `dts explain` and `dts history`."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.responses import Response

from include.access.roles import Action
from include.api.access import may
from include.api.documentation import problems
from include.api.etags import answered
from include.api.parameters import WITHOUT_NUL
from include.api.problems import not_found
from include.api.services import services_of
from include.explain.find import SubjectKind
from include.explain.history import events_of
from include.explain.history_subjects import history_subject
from include.explain.told import told_about

router = APIRouter(tags=["explanations"])

Subject = Annotated[str, Path(min_length=1, max_length=3000, pattern=WITHOUT_NUL)]


class Explanation(BaseModel):
    """Where something is, why, and what comes next."""

    kind: SubjectKind
    title: str
    sentences: list[str]


class Event(BaseModel):
    """Something that happened."""

    at: datetime
    what: str
    """One word: filed, packaged, bundled, arrived, verified, archived, staged, deleted, …"""
    place: str
    said: str
    package: str
    by: str | None
    run_id: str | None


class History(BaseModel):
    """The life of something, oldest first."""

    title: str
    about: str
    events: list[Event]


@router.get(
    "/explain/{subject:path}",
    response_model=Explanation,
    responses=problems(404),
    dependencies=[may(Action.EXPLAIN)],
)
async def explain(request: Request, subject: Subject) -> Response:
    """Explain an observation (UUID), a package (name, or package:ID) or an operation (number, or operation:ID)."""
    services = services_of(request)

    def ask(connection: Connection) -> Explanation:
        with not_found():
            told = told_about(connection, subject, topology=services.topology())
        return Explanation(kind=told.kind, title=told.title, sentences=list(told.sentences))

    return answered(request, await services.ops_db.read(ask))


@router.get(
    "/history/{subject:path}",
    response_model=History,
    responses=problems(404),
    dependencies=[may(Action.READ_HISTORY)],
)
async def history(request: Request, subject: Subject) -> Response:
    """Tell the life of a file (path as filed, or UUID), a package or an observation."""

    def ask(connection: Connection) -> History:
        with not_found():
            found = history_subject(connection, subject)
        events = events_of(connection, found.packages)
        told = [Event(**{name: getattr(event, name) for name in Event.model_fields}) for event in events]
        return History(title=found.title, about=found.about, events=told)

    return answered(request, await services_of(request).ops_db.read(ask))
