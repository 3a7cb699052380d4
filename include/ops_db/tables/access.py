"""Tokens of services that call the API."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Identity, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.tables.base import Base


class ServiceToken(Base):
    """What an instrument or a program proves its account with. Rows are never deleted: histories name their number."""

    __tablename__ = "service_token"
    __table_args__ = (CheckConstraint("num_nonnulls(revoked_at, revoked_by) in (0, 2)", name="revoked"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    """Of the token, which is shown once and kept nowhere (hex)."""
    account: Mapped[str]
    """For whom it speaks."""
    role: Mapped[str]
    """One of include.access.roles."""
    instruments: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Of a token with the role instrument: whose observations it files."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """What it is narrowed to; empty: all that its role may."""
    purpose: Mapped[str] = mapped_column(server_default="")
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
    made_by: Mapped[str]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    """To the minute."""
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
