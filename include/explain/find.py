"""From what somebody typed to an id in ops-db, with the nearest names where there is none."""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, select

from include.errors import BadInputError
from include.operations.decide import storable
from include.ops_db.tables import RawDataPackage

NEWEST = 5000
"""How many package names are compared with a wrong one."""


class SubjectKind(StrEnum):
    """What can be explained."""

    OBSERVATION = "observation"
    PACKAGE = "package"
    OPERATION = "operation"


class Subject(NamedTuple):
    """What was asked about."""

    kind: SubjectKind
    word: str
    """Without its prefix."""


def subject_of(word: str) -> Subject:
    """Tell what `word` means: `operation:7` or `7`, `package:7` or a package's name, an observation's UUID."""
    for kind in SubjectKind:
        prefix = f"{kind}:"
        if word.startswith(prefix):
            return Subject(kind, word.removeprefix(prefix))
    if word.isdecimal():
        return Subject(SubjectKind.OPERATION, word)
    return Subject(SubjectKind.OBSERVATION if is_uuid(word) else SubjectKind.PACKAGE, word)


def is_uuid(word: str) -> bool:
    """Tell whether it is a UUID."""
    try:
        UUID(word)
    except ValueError:
        return False
    return True


def operation_id_of(word: str) -> int:
    """Return the number in `7` or `operation:7`.

    Raises:
        BadInputError: there is none in it.
    """
    number = word.removeprefix("operation:")
    if not number.isdecimal() or int(number) >= 2**63:
        raise BadInputError(f"{word!r} is not the number of an operation, such as 7 or operation:7.")
    return int(number)


def observation_id_of(word: str) -> UUID:
    """Return the UUID.

    Raises:
        BadInputError: it is none.
    """
    if not is_uuid(word):
        raise BadInputError(f"{word!r} is not an observation: those have UUIDs, such as 0b8f2f4e-….")
    return UUID(word)


def find_package(connection: Connection, word: str) -> int:
    """Return the id of a package by its name, or by `package:ID`.

    Raises:
        BadInputError: there is none; the message has the nearest names.
    """
    word = storable(word.removeprefix("package:"))
    by_name = connection.execute(select(RawDataPackage.id).where(RawDataPackage.name == word)).scalar()
    if by_name is not None:
        return by_name
    if word.isdecimal() and int(word) < 2**63:
        by_id = connection.execute(select(RawDataPackage.id).where(RawDataPackage.id == int(word))).scalar()
        if by_id is not None:
            return by_id
    near = _nearest_names(connection, word)
    hint = f" Near it are: {', '.join(near)}." if near else " `dts explain OBSERVATION` names its packages."
    raise BadInputError(f"There is no package {word!r} in ops-db.{hint}")


def name_of_package(connection: Connection, package_id: int) -> str:
    """Return the name of a package that exists."""
    return connection.execute(select(RawDataPackage.name).where(RawDataPackage.id == package_id)).scalar_one()


def _nearest_names(connection: Connection, word: str) -> list[str]:
    names = RawDataPackage.name
    holding = connection.execute(
        select(names).where(names.contains(word, autoescape=True)).order_by(names).limit(3)
    ).scalars()
    if found := list(holding):
        return found
    newest = connection.execute(select(names).order_by(RawDataPackage.id.desc()).limit(NEWEST)).scalars()
    return get_close_matches(word, list(newest), n=3, cutoff=0.5)


def names_of_packages(connection: Connection, words: Iterable[str]) -> tuple[str, ...]:
    """Return the names of packages that are given by name or as `package:ID`.

    Raises:
        BadInputError: there is no such package; the message has the nearest names.
    """
    return tuple(name_of_package(connection, find_package(connection, word)) for word in words)
