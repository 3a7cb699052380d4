"""What the API needs, in Airflow's api-server: its accounts, its connection to ops-db, its runs of registration."""

import logging
from functools import cache

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi import FastAPI, Request
from fastapi.security import HTTPBearer
from sqlalchemy import Engine
from starlette.exceptions import HTTPException

from include.access.caller import Caller
from include.access.roles import Role
from include.airflow_glue.connections import ops_db_address, topology
from include.api.app import create_app
from include.api.bell import Bell
from include.api.decisions import Decisions
from include.api.ops_db import CONNECTIONS, OpsDb
from include.api.services import Services
from include.ops_db.engine import ops_db_engine
from include.topology import Topology

logger = logging.getLogger(__name__)

ROLES = {
    "viewer": Role.VIEWER,
    "scientist": Role.SCIENTIST,
    "op": Role.OPERATOR,
    "operator": Role.OPERATOR,
    "instrument": Role.INSTRUMENT,
    "admin": Role.ADMIN,
}
"""Roles of Airflow's auth managers, in small letters; FAB has those that somebody makes there, too (`Scientist`)."""
USER = "user"
"""Airflow's own between viewer and op: an instrument if the topology says that the account files, else a scientist."""

_bearer = HTTPBearer(auto_error=False)


@cache
def application() -> FastAPI:
    """Return the application of this process."""
    ops_db = OpsDb(engine)
    return create_app(
        Services(ops_db=ops_db, topology=topology, person=person, ring=Bell().ring, decisions=Decisions(ops_db))
    )


@cache
def engine() -> Engine:
    """Return an engine with a kept connection for each of our threads."""
    return ops_db_engine(ops_db_address(), kept=CONNECTIONS)


async def person(request: Request) -> Caller | None:
    """Return who calls with a token or the cookie of Airflow's auth manager; None: nobody."""
    try:
        user = await get_user(request, None, await _bearer(request))
    except HTTPException:
        return None
    return caller_for(user, topology())


def caller_for(user: BaseUser, topology: Topology) -> Caller:
    """Return what an account of Airflow's may do here, by its roles there and by what the topology says of it."""
    account = user.get_name()
    files_for = frozenset(each.name for each in topology.instruments if account in each.filed_by)
    roles = {_role(name.lower(), files=bool(files_for)) for name in _role_names(user)} - {None}
    return Caller(account=account, roles=frozenset(role for role in roles if role), instruments=files_for)


def _role(name: str, *, files: bool) -> Role | None:
    if name == USER:
        return Role.INSTRUMENT if files else Role.SCIENTIST
    return ROLES.get(name)


def _role_names(user: BaseUser) -> list[str]:
    """SimpleAuthManager's users have one role, a word; FAB's have several, each with a name."""
    one = getattr(user, "role", None)
    if one is not None:
        return [str(one)]
    return [str(getattr(role, "name", role)) for role in getattr(user, "roles", None) or ()]
