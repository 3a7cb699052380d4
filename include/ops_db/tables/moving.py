"""What moves between sites: bundles, transfers, and what transfers share."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from include.ops_db.states import (
    BundleState,
    WorkStatus,
)
from include.ops_db.tables.base import Base, words


class DataTransferPackage(Base):
    """RawDataPackages gathered for one destination: a list, not a tar of tars."""

    __tablename__ = "data_transfer_package"
    __table_args__ = (
        Index(
            "uq_data_transfer_package_open",
            "origin_location_id",
            "destination_location_id",
            "is_urgent",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    origin_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    destination_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    is_primary: Mapped[bool]
    """True for the one transfer out of the observatory, false for copies among archives."""
    is_urgent: Mapped[bool] = mapped_column(server_default=text("false"))
    """Made for packages that overtake others: it does not wait to be filled."""
    state: Mapped[BundleState] = mapped_column(words(BundleState, "state"), server_default=BundleState.OPEN)
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closes_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class DataTransferPackageMember(Base):
    """A RawDataPackage in a DataTransferPackage."""

    __tablename__ = "data_transfer_package_member"

    data_transfer_package_id: Mapped[int] = mapped_column(ForeignKey("data_transfer_package.id"), primary_key=True)
    raw_data_package_id: Mapped[int] = mapped_column(ForeignKey("raw_data_package.id"), primary_key=True, index=True)
    frame_bytes: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    """How long the package's blocks are in its compressed twin at the origin; null: it goes as it is."""


class DataTransfer(Base):
    """The move of a DataTransferPackage; transfer and unpacking are recorded apart."""

    __tablename__ = "data_transfer"
    __table_args__ = (Index("ix_data_transfer_status", "transfer_status", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    data_transfer_package_id: Mapped[int] = mapped_column(ForeignKey("data_transfer_package.id"), unique=True)
    origin_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    destination_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    transfer_status: Mapped[WorkStatus] = mapped_column(
        words(WorkStatus, "transfer_status"), server_default=WorkStatus.PENDING
    )
    unpacking_status: Mapped[WorkStatus] = mapped_column(
        words(WorkStatus, "unpacking_status"), server_default=WorkStatus.PENDING
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    transferred_at: Mapped[datetime | None]
    unpacked_at: Mapped[datetime | None]


class DataTransferRoute(Base):
    """What all transfers between two locations share, in whatever process or on whatever host they run."""

    __tablename__ = "data_transfer_route"
    __table_args__ = (UniqueConstraint("origin_location_id", "destination_location_id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    origin_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    destination_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    streams: Mapped[int | None] = mapped_column(Integer)
    """How many connections the last transfer ended with; the next one begins with as many."""
    promised_until: Mapped[datetime] = mapped_column(server_default=func.now())
    """Until when what the timetable allows is promised to some transfer; who asks next may send from then on."""


class TransferDecision(Base):
    """How many connections a transfer used from then on, and why."""

    __tablename__ = "transfer_decision"
    __table_args__ = (Index("ix_transfer_decision_route", "data_transfer_route_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    data_transfer_route_id: Mapped[int] = mapped_column(ForeignKey("data_transfer_route.id"))
    operation_id: Mapped[int]
    """No foreign key: decisions outlive the operation's row."""
    decided_at: Mapped[datetime] = mapped_column(server_default=func.now())
    streams: Mapped[int] = mapped_column(Integer)
    why: Mapped[str]


class SpaceReservation(Base):
    """Bytes that a running operation has yet to write at a location.

    It counts as long as its operation is in progress under the same lease: one that dies releases it with its lease.
    """

    __tablename__ = "space_reservation"
    __table_args__ = (
        CheckConstraint("size_bytes >= 0", name="size"),
        Index("ix_space_reservation_location", "data_location_id"),
    )

    operation_id: Mapped[int] = mapped_column(ForeignKey("operation.id"), primary_key=True)
    lease_token: Mapped[int]
    data_location_id: Mapped[int] = mapped_column(ForeignKey("data_location.id"))
    size_bytes: Mapped[int]
    reserved_at: Mapped[datetime] = mapped_column(server_default=func.now())
