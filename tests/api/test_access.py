"""Who may do what: every role at every endpoint, from the table; and nobody without an account."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from include.access.caller import Caller
from include.access.roles import PERMITTED, Action, Reach, Role, Scope
from include.api.authentication import LIVE
from tests.api.conftest import Api
from tests.api.endpoints import Endpoint, endpoints

# As people would write it down, apart from the code: r reads, w changes; small letters: only what is one's own.
TABLE = """
                          viewer  scientist  operator  instrument  admin
read observations           R         R         R          r         R
start an observation        -         -         -          w         W
finish an observation       -         -         -          w         W
file                        -         -         -          w         W
read filings                R         R         R          r         R
read packages               R         R         R          -         R
read transfers              R         R         R          -         R
read copies                 R         R         R          -         R
read staging jobs           R         R         R          -         R
request staging             -         w         W          -         W
extend staging              -         w         W          -         W
release staging             -         w         W          -         W
read places                 R         R         R          -         R
explain                     R         R         R          -         R
read histories              R         R         R          -         R
read health                 R         R         R          -         R
read the description of the API  R    R         R          R         R
open the page               R         R         R          R         R
read deletions              R         R         R          -         R
retry                       -         -         W          -         W
flag                        -         -         W          -         W
pin                         -         -         W          -         W
answer the brake            -         -         W          -         W
"""


async def ask(client: httpx.AsyncClient, endpoint: Endpoint) -> httpx.Response:
    return await client.request(endpoint.method, endpoint.address, json=endpoint.body)


def test_the_table_is_the_one_that_people_agreed_on() -> None:
    head, *rows = [line for line in TABLE.splitlines() if line]
    roles = [Role(word) for word in head.split()]
    agreed = {}
    for row in rows:
        *words, _, _, _, _, _ = row.split()
        reaches = zip(roles, row.split()[-5:], strict=True)
        agreed[Action(" ".join(words))] = {
            role: Reach.ALL if letter.isupper() else Reach.OWN for role, letter in reaches if letter != "-"
        }
    assert {action: dict(reaches) for action, reaches in PERMITTED.items()} == agreed


def test_every_endpoint_says_what_it_is_for_and_every_action_has_one(api: Api) -> None:
    found = list(endpoints(api.app))
    assert [str(endpoint) for endpoint in found if endpoint.action is None] == [f"GET {LIVE}"]
    assert {endpoint.action for endpoint in found} - {None} == set(Action)


async def test_without_an_account_there_is_nothing_but_live(api: Api) -> None:
    for wrong in (None, "x", "dts_unknown", "dts_"):
        async with api.client(wrong) as client:
            for endpoint in endpoints(api.app):
                answer = await ask(client, endpoint)
                if endpoint.path == LIVE:
                    assert (answer.status_code, answer.json()) == (200, {"status": "live"})
                    continue
                assert answer.status_code == 401, endpoint
                assert answer.headers["WWW-Authenticate"] == "Bearer"
                assert answer.headers["Content-Type"] == "application/problem+json"
            for address in ("/", "/api/v1/nothing", "/docs", "/redoc", f"{LIVE}/", f"{LIVE}/../../openapi.json"):
                assert (await client.get(address)).status_code == 401, address


@pytest.mark.parametrize("role", Role)
async def test_every_role_at_every_endpoint(api: Api, role: Role) -> None:
    instruments = ("primecam",) if role is Role.INSTRUMENT else ()
    async with api.client(api.token("primecam", role, instruments=instruments)) as client:
        for endpoint in endpoints(api.app):
            answer = await ask(client, endpoint)
            allowed = endpoint.action is None or role in PERMITTED[endpoint.action]
            assert (answer.status_code == 403) is not allowed, f"{role} at {endpoint}: {answer.text}"
            assert answer.status_code in {200, 201, 202, 403, 404, 422}, f"{role} at {endpoint}: {answer.text}"


@pytest.mark.parametrize("scope", Scope)
async def test_a_token_narrowed_to_a_scope_reaches_no_further(api: Api, scope: Scope) -> None:
    async with api.client(api.token("admin", Role.ADMIN, scopes=(scope,))) as client:
        for endpoint in endpoints(api.app):
            answer = await ask(client, endpoint)
            allowed = endpoint.action is None or endpoint.action.scope is scope
            assert (answer.status_code == 403) is not allowed, f"{scope} at {endpoint}: {answer.text}"


async def test_people_come_with_airflows_accounts_and_may_do_what_any_of_their_roles_may(api: Api) -> None:
    api.people["jane"] = Caller(account="jane", roles=frozenset({Role.VIEWER, Role.SCIENTIST}))
    api.people["nobody"] = Caller(account="nobody", roles=frozenset())
    async with api.client("jane") as jane, api.client("nobody") as nobody:
        assert (await jane.get("/api/v1/packages")).status_code == 200
        assert (await jane.put("/api/v1/observations/6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69")).status_code in {403, 415}
        refused = await nobody.get("/api/v1/packages")
    assert refused.status_code == 403
    assert refused.json()["detail"] == (
        "nobody may not read packages: that is not for the role none, or not for this token."
    )


async def test_a_token_ends_with_its_date_or_when_it_is_revoked(api: Api) -> None:
    soon, revoked = api.token("viewer", Role.VIEWER), api.token("viewer", Role.VIEWER)
    with api.engine.begin() as connection:
        connection.execute(text("update service_token set expires_at = now() where id = 1"))
        connection.execute(text("update service_token set revoked_at = now(), revoked_by = 'x' where id = 2"))
    for token in (soon, revoked):
        async with api.client(token) as client:
            answer = await client.get("/api/v1/packages")
        assert answer.status_code == 401
        assert "revoked or over" in answer.json()["detail"]


async def test_a_token_is_kept_as_a_hash_and_its_last_use_is_seen(api: Api) -> None:
    token = api.token("viewer", Role.VIEWER)
    async with api.client(token) as client:
        await client.get("/api/v1/packages")
    with api.engine.connect() as connection:
        row = connection.execute(text("select * from service_token")).mappings().one()
    assert token not in str(row)
    assert abs(row["last_used_at"] - datetime.now(UTC)) < timedelta(minutes=1)
