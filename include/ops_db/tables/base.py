"""What all tables are made of."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    DateTime,
    Enum,
    MetaData,
    Text,
)
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Plain names for constraints, so that migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: DateTime(timezone=True), str: Text, int: BigInteger}  # noqa: RUF012 - SQLAlchemy's own form


def words(states: type[StrEnum], name: str) -> Enum:
    """Return a column type that stores a StrEnum's values as text, held by a CHECK."""
    return Enum(
        states,
        native_enum=False,
        create_constraint=True,
        length=30,
        name=name,
        values_callable=lambda members: [member.value for member in members],
    )
