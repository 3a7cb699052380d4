"""Where data is and whose it is: sites, locations, topology versions, instruments."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Identity,
    Integer,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.tables.base import Base, words
from include.topology import LocationType


class Site(Base):
    """A place with a network."""

    __tablename__ = "site"

    short_name: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    location: Mapped[str]


class DataLocation(Base):
    """Storage at a site. Rows are never deleted: history refers to them."""

    __tablename__ = "data_location"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    full_name: Mapped[str] = mapped_column(unique=True)
    site: Mapped[str] = mapped_column(ForeignKey("site.short_name"))
    location_type: Mapped[LocationType] = mapped_column(words(LocationType, "location_type"))
    storage_type: Mapped[str]
    priority: Mapped[int] = mapped_column(Integer)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    """False once it left the topology."""
    marked_at: Mapped[datetime | None]
    """When its folder was first given a mark, without which nothing there is called missing; None: it is new."""
    measurement_asked_at: Mapped[datetime | None]
    """When one of its hosts was last asked to look at it, because nobody had for a while."""


class TopologyVersion(Base):
    """Every topology, policy included, that was ever applied; the newest one counts."""

    __tablename__ = "topology_version"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    sha256: Mapped[str]
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    applied_at: Mapped[datetime] = mapped_column(server_default=func.now())
    applied_by: Mapped[str]


class Instrument(Base):
    """Something that files data."""

    __tablename__ = "instrument"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class InstrumentModule(Base):
    """A part of an instrument with data of its own."""

    __tablename__ = "instrument_module"
    __table_args__ = (UniqueConstraint("instrument_id", "name"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    instrument_id: Mapped[int] = mapped_column(ForeignKey("instrument.id"))
    name: Mapped[str]
