"""One ops-db for many tests, emptied after each: that takes 5 ms, and to copy the template for each takes 200.

What a test did not leave as new is dropped instead, and the next test has a fresh copy: where somebody is still
connected (he might write into the next test's rows), where the schema is not the template's, where the planner has
learned something, or where much was written.
"""

import time
from itertools import count

import psycopg
from sqlalchemy import Engine, text

from include.ops_db.tables import Base
from include.sandbox.postgres import Postgres

TEMPLATE = "template_ops_db"
PLACES = {"site", "data_location", "topology_version", "instrument", "instrument_module"}
"""What applying a topology writes."""
LEAVING_SECONDS = 0.2
MOST_GROWTH_BYTES = 8_000_000

# In place are only the planner's numbers written; all else that changes a catalog writes rows with higher xmin.
STATE = """
    select (select max(xmin::text::bigint) from pg_class), (select max(xmin::text::bigint) from pg_attribute),
      (select max(xmin::text::bigint) from pg_constraint), (select max(xmin::text::bigint) from pg_trigger),
      (select max(xmin::text::bigint) from pg_proc),
      (select count(*) from pg_statistic s join pg_class c on c.oid = s.starelid
        where c.relnamespace = 'public'::regnamespace),
      (select sum(reltuples) from pg_class where relnamespace = 'public'::regnamespace)
    """
OTHERS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
    """
RESTART = """
    select setval(oid::regclass, 1, false) from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace
    """


class SharedDatabase:
    """A copy of the template that tests have one after the other, each as if it were new."""

    _numbers = count(1)

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._name = f"ops_db_{next(self._numbers)}"
        self.url = postgres.create_database(self._name, template=TEMPLATE)
        self._connection = psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True)
        self._state = self._row(STATE)
        self._size_bytes = self._size()

    def close(self) -> None:
        self._connection.close()
        self._postgres.drop_database(self._name)

    def made_new(self) -> bool:
        """Empty it; False if that would not make it as new."""
        try:
            if not self._is_as_before():
                return False
        except psycopg.OperationalError:  # a test has cut off everybody
            return False
        with self._connection.transaction():
            self._connection.execute(deletion())
        self._connection.execute(RESTART)
        return True

    def _is_as_before(self) -> bool:
        few = self._size() <= self._size_bytes + MOST_GROWTH_BYTES
        return few and self._is_alone() and self._row(STATE) == self._state

    def _is_alone(self) -> bool:
        """A backend ends a moment after its client has gone."""
        deadline = time.monotonic() + LEAVING_SECONDS
        while self._row(OTHERS) != (0,):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def _size(self) -> int:
        (size,) = self._row("select pg_database_size(current_database())")
        return size

    def _row(self, query: str) -> tuple:
        row = self._connection.execute(query).fetchone()
        assert row is not None
        return row


def empty(engine: Engine, *, places_too: bool = True) -> None:
    """Delete all rows in the middle of a test; see `deletion`."""
    with engine.begin() as connection:
        connection.execute(text(deletion(places_too=places_too)))


def deletion(*, places_too: bool = True) -> str:
    """Delete all rows, also those that a trigger holds; for few rows that is faster than to truncate."""
    tables = [table.name for table in Base.metadata.sorted_tables if places_too or table.name not in PLACES]
    return ";".join(["set local session_replication_role = replica", *(f"delete from {table}" for table in tables)])
