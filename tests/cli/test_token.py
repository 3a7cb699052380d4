"""`dts token`: made and shown once, listed, revoked."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from include.access.roles import Role, Scope
from include.access.tokens import caller_with
from tests.cli.conftest import Dts
from tests.observatory import Observatory

TOMORROW = str((datetime.now(UTC) + timedelta(days=1)).date())
OF_PRIMECAM = ("token", "create", "primecam", "--role", "instrument", "--instrument", "primecam", "--until", TOMORROW)


def test_a_token_is_shown_once_and_speaks_for_its_account(dts: Dts, observatory: Observatory) -> None:
    made = dts(*OF_PRIMECAM, "--scope", "file", "--purpose", "the spool of mod280", "--by", "ada")
    assert made.code == 0, made.err
    secret, told = made.out.splitlines()
    assert "Token 1 of primecam as instrument" in told
    with Session(observatory.engine) as session, session.begin():
        caller = caller_with(session, secret)
    assert caller is not None
    assert (caller.account, caller.roles, caller.instruments) == ("primecam", {Role.INSTRUMENT}, {"primecam"})
    assert caller.scopes == {Scope.FILE}
    listed = dts("token", "list").out
    assert "primecam" in listed
    assert "the spool of mod280" in listed
    assert secret not in listed + dts("token", "list", "--all", "--json").out
    with observatory.engine.connect() as connection:
        assert secret not in str(connection.execute(text("select * from service_token")).all())


def test_a_revoked_token_is_nobodys(dts: Dts, observatory: Observatory) -> None:
    secret = json.loads(dts(*OF_PRIMECAM, "--json").out)["token"]
    for _ in range(2):
        assert dts("token", "revoke", "1", "--by", "ada").code == 0
    with Session(observatory.engine) as session, session.begin():
        assert caller_with(session, secret) is None
    assert "No token that counts" in dts("token", "list").out
    (row,) = json.loads(dts("token", "list", "--all", "--json").out)
    assert (row["revoked_by"], "sha256" in row) == ("ada", False)
    assert "There is no token 7" in dts("token", "revoke", "7").err


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("x", "--role", "instrument"), "names at least one instrument"),
        (("x", "--role", "viewer", "--instrument", "primecam"), "names none"),
        (("x", "--role", "instrument", "--instrument", "nobody"), "There is no instrument nobody in ops-db"),
        ((" ", "--role", "viewer"), "an account with a name"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(
    dts: Dts, observatory: Observatory, changed: tuple[str, ...], told: str
) -> None:
    result = dts("token", "create", *changed, "--until", TOMORROW)
    assert result.code == 1
    assert told in result.err
    over = dts("token", "create", "x", "--role", "viewer", "--until", "2020-01-01")
    assert "is over: give a date to come" in over.err
    assert "No token." in dts("token", "list", "--all").out
