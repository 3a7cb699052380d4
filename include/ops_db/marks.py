"""Whether a folder without a mark is known to be a location's, and which locations have one (storage/mark.py)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from include.errors import TransientError

MOST_LOOKED_FOR = 100

WAS_MARKED = text("select marked_at from data_location where full_name = :full_name and marked_at is not null")

# What was called missing is looked for, too: it may have been called so wrongly.
COPIES = text(
    """
    select c.path, c.status <> 'deleted' as may_be_there
    from physical_copy c join data_location l on l.id = c.data_location_id
    where l.full_name = :full_name
    order by c.status in ('deleted', 'missing'), c.id desc limit :most
    """
)

MARKED = text("update data_location set marked_at = now() where full_name = :full_name and marked_at is null")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MarksInOpsDb:
    """What ops-db knows of the marks; see `include.storage.mark.Marks`."""

    engine: Engine

    def may_be_set(self, full_name: str, holds: Callable[[str], bool]) -> bool:
        """Tell whether a location is new, so that it never had a mark or a copy, or one of its copies lies there.

        Raises:
            TransientError: ops-db cannot be asked.
        """
        try:
            with self._connection() as connection:
                rows = connection.execute(COPIES, {"full_name": full_name, "most": MOST_LOOKED_FOR}).all()
                was_marked = connection.execute(WAS_MARKED, {"full_name": full_name}).first() is not None
        except SQLAlchemyError as error:
            raise TransientError(
                f"ops-db cannot be asked what should be at {full_name} ({type(error).__name__}), whose folder has no"
                " mark."
            ) from error
        is_new = not rows and not was_marked
        return is_new or any(holds(row.path) for row in rows if row.may_be_there)

    def was_set(self, full_name: str) -> None:
        """Remember that it is new no more. Without ops-db its first copy will tell."""
        try:
            with self._connection() as connection:
                connection.execute(MARKED, {"full_name": full_name})
        except SQLAlchemyError as error:
            logger.warning("ops-db does not know that %s is marked (%s).", full_name, type(error).__name__)

    def _connection(self) -> Connection:
        return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
