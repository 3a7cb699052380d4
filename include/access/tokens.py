"""Tokens of services: made once, shown once, kept as a hash; with a role, an end, and when each was last used."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from include.access.caller import Caller
from include.access.roles import Role, Scope
from include.errors import BadInputError
from include.operations.decide import clock, storable
from include.ops_db.tables import Instrument, ServiceToken

PREFIX = "dts_"
_RANDOM_BYTES = 32
NAME_CHARACTERS_MAX = 100

# Found, and noted as used (not more than once a minute: each note is a write), in one round trip.
USE = text(
    """
    with found as (
      select id, account, role, instruments, scopes, last_used_at from service_token
      where sha256 = :sha256 and revoked_at is null and expires_at > now()
    ), noted as (
      update service_token t set last_used_at = now() from found f
      where t.id = f.id and (f.last_used_at is null or f.last_used_at < now() - interval '1 minute')
    )
    select id, account, role, instruments, scopes from found
    """
)


@dataclass(frozen=True, kw_only=True)
class MadeToken:
    """A new token. The secret exists here and nowhere else."""

    id: int
    secret: str


def make_token(
    session: Session,
    *,
    account: str,
    role: Role,
    expires_at: datetime,
    made_by: str,
    instruments: Sequence[str] = (),
    scopes: Sequence[Scope] = (),
    purpose: str = "",
) -> MadeToken:
    """Make a token in the caller's transaction.

    Args:
        session: in the caller's transaction.
        account: for whom it speaks: a name of the topology's `filed_by` if it is to file.
        role: what it may do (roles.PERMITTED).
        expires_at: with its time zone; no token lives for ever.
        made_by: the person.
        instruments: of a token with the role instrument: whose observations it files.
        scopes: what it is narrowed to; none: all that the role may.
        purpose: for whoever finds it in the list.

    Raises:
        BadInputError: something of it makes no sense; nothing was written.
    """
    if not 0 < len(account.strip()) <= NAME_CHARACTERS_MAX:
        raise BadInputError(f"A token speaks for an account with a name of 1 to {NAME_CHARACTERS_MAX} characters.")
    now = session.execute(text("select now()")).scalar_one()
    if expires_at <= now:
        raise BadInputError(f"{clock(expires_at)} is over: give a date to come.")
    _require_fitting(session, role=role, instruments=instruments)
    secret = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    token = ServiceToken(
        sha256=hash_of(secret),
        account=storable(account.strip()),
        role=role,
        instruments=sorted(set(instruments)),
        scopes=sorted(set(scopes)),
        purpose=storable(purpose),
        expires_at=expires_at,
        made_by=storable(made_by),
    )
    session.add(token)
    session.flush()
    return MadeToken(id=token.id, secret=secret)


def revoke_token(session: Session, *, token_id: int, person: str) -> None:
    """End a token now.

    Raises:
        BadInputError: there is none with this number.
    """
    token = session.get(ServiceToken, token_id, with_for_update=True)
    if token is None:
        raise BadInputError(f"There is no token {token_id}; `dts token list` shows those there are.")
    if token.revoked_at is None:
        token.revoked_at = session.execute(text("select now()")).scalar_one()
        token.revoked_by = storable(person)
        session.flush()


def tokens(session: Session, *, ended_too: bool = False) -> Sequence[ServiceToken]:
    """Return the tokens, newest first; those that ended only if asked for."""
    query = select(ServiceToken).order_by(ServiceToken.id.desc())
    if not ended_too:
        query = query.where(ServiceToken.revoked_at.is_(None), ServiceToken.expires_at > text("now()"))
    return session.scalars(query).all()


def caller_with(session: Session, secret: str) -> Caller | None:
    """Return who calls with this token, and note that it was used; None if it is none, or is over."""
    row = session.execute(USE, {"sha256": hash_of(secret)}).one_or_none()
    if row is None:
        return None
    return Caller(
        account=row.account,
        roles=frozenset({Role(row.role)}),
        instruments=frozenset(row.instruments),
        scopes=frozenset(map(Scope, row.scopes)) or frozenset(Scope),
        through=f"the API, token {row.id}",
    )


def hash_of(secret: str) -> str:
    """Return what is kept of a token. It is random and long, so one round of a fast hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _require_fitting(session: Session, *, role: Role, instruments: Sequence[str]) -> None:
    if (role is Role.INSTRUMENT) != bool(instruments):
        raise BadInputError(
            "A token with the role instrument names at least one instrument, and a token with another role names none."
        )
    known = set(session.scalars(select(Instrument.name)))
    if unknown := sorted(set(instruments) - known):
        raise BadInputError(f"There is no instrument {', '.join(unknown)} in ops-db, but {', '.join(sorted(known))}.")
