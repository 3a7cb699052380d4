"""The page as it is mounted in Airflow's web server, with and without something to show."""

from collections.abc import AsyncIterator

import httpx
import pytest

from include.access.caller import Caller
from include.access.roles import Role
from tests.api.conftest import Api
from tests.observatory import Observatory
from tests.page.seeded import seed


@pytest.fixture
def empty_api(observatory: Observatory) -> Api:
    """Of an observatory in which nothing has happened yet."""
    return with_people(Api(observatory))


@pytest.fixture
def full_api(empty_api: Api) -> Api:
    """Of one with weeks of work, and every kind of trouble."""
    seed(empty_api.engine)
    return empty_api


@pytest.fixture
async def operator(full_api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """An operator who is logged in to Airflow."""
    async with full_api.client("operator") as client:
        yield client


def with_people(api: Api) -> Api:
    """Have an account for each role, of that name."""
    api.people |= {role: Caller(account=role, roles=frozenset({role}), through="Airflow") for role in Role}
    return api
