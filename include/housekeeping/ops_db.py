"""What is done in ops-db: partitions made ahead, operations that are over moved out, what nobody asks for forgotten.

Every step is one transaction of bounded size, harmless to repeat and to stop anywhere. Not touched: files, packages,
copies, deletion records, attempts, alarms, filings and their verdicts: what is known about data is kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from include.housekeeping_rules import HousekeepingRules
from include.plurals import counted

PARTITIONED = ("operation_attempt", "operation_history")
MONTHS_AHEAD = 24
AT_ONCE = 5000

MONTHS = text(
    """
    select to_char(month at time zone 'utc', 'YYYY_MM') as name, month as begins, month + interval '1 month' as ends
    from generate_series(
      date_trunc('month', now() at time zone 'utc'), date_trunc('month', now() at time zone 'utc')
        + make_interval(months => :ahead - 1), interval '1 month') as local,
      lateral (select local at time zone 'utc' as month) m
    where to_regclass(:table || '_' || to_char(month at time zone 'utc', 'YYYY_MM')) is null
    order by month
    """
)

# The columns are named by ops-db itself: one that a later version adds moves, too.
MOVE = """
with over as (
  select id from operation
  where status in ('completed', 'cancelled') and finished_at < now() - make_interval(days => :days)
  order by id limit :most for update skip locked
), free as (
  delete from space_reservation where operation_id in (select id from over)
), gone as (
  delete from operation where id in (select id from over) returning *
)
insert into operation_history ({columns}) select {columns} from gone
"""
COLUMNS = text(
    """
    select string_agg(quote_ident(column_name), ', ' order by ordinal_position) from information_schema.columns
    where table_schema = 'public' and table_name = 'operation'
    """
)

FILINGS = text(
    """
    update filing set conf = conf - 'files' where id in (
      select id from filing where state = 'accepted' and decided_at < now() - make_interval(days => :days)
        and jsonb_typeof(conf) = 'object' and conf ? 'files'
      order by id limit :most for update skip locked)
    """
)
DECISIONS = text(
    """
    delete from transfer_decision where id in (
      select id from transfer_decision where decided_at < now() - make_interval(days => :days) order by id limit :most)
    """
)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a round did."""

    partitions: int
    operations: int
    filings: int
    decisions: int

    def sentence(self) -> str:
        """Say it."""
        return (
            f"{counted(self.partitions, 'partition')} made; {counted(self.operations, 'operation')} moved to the"
            f" history; {counted(self.filings, 'filing')} and {counted(self.decisions, 'decision')} shortened."
        )


def keep_house(engine: Engine, *, rules: HousekeepingRules) -> Kept:
    """Do one round; two at once share the work."""
    return Kept(
        partitions=sum(1 for table in PARTITIONED for _ in _made(engine, table)),
        operations=_all(engine, _mover(rules.operations_days)),
        filings=_all(engine, lambda it: it.execute(FILINGS, _bounds(rules.filings_days)).rowcount),
        decisions=_all(engine, lambda it: it.execute(DECISIONS, _bounds(rules.transfer_decisions_days)).rowcount),
    )


def _bounds(days: int) -> dict[str, int]:
    return {"days": days, "most": AT_ONCE}


def _all(engine: Engine, some: Callable[[Connection], int]) -> int:
    total = 0
    while True:
        with engine.begin() as connection:
            done = some(connection)
        total += done
        if done < AT_ONCE:
            return total


def _mover(days: int) -> Callable[[Connection], int]:
    def move(connection: Connection) -> int:
        columns = connection.execute(COLUMNS).scalar_one()
        return connection.execute(text(MOVE.format(columns=columns)), _bounds(days)).rowcount

    return move


def _made(engine: Engine, table: str) -> Iterator[str]:
    """Make the months of a table that it lacks. Two rounds at once: the second finds them made."""
    with engine.connect() as connection:
        months = connection.execute(MONTHS, {"table": table, "ahead": MONTHS_AHEAD}).all()
    for month in months:
        with engine.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(hashtext('dts partitions'))"))
            connection.execute(text(_partition(table, month.name, begins=month.begins, ends=month.ends)))
        yield month.name


def _partition(table: str, name: str, *, begins: datetime, ends: datetime) -> str:
    span = f"from ('{begins.isoformat()}') to ('{ends.isoformat()}')"
    return f"create table if not exists {table}_{name} partition of {table} for values {span}"
