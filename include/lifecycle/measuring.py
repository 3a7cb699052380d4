"""Looking at a location from one of its own hosts: how full it is, whether it is there; and asking a host to look.

Whoever works at a location looks at it before and after, at most once a minute. Where nobody works, a plan asks a host
to look (a batch without operations); if no worker answers for a quarter of an hour, the location counts as gone.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection, Engine

from include.errors import DtsError
from include.lifecycle.condition import judge
from include.operations.decide import clock
from include.ops_db.measurements import Seen, ask, forget, record, record_change
from include.storage.interface import Storage
from include.topology import DataLocation, S3Storage

logger = logging.getLogger(__name__)

ASKED_SECONDS = 900.0
"""A worker that has all its hands full comes to it later: it is not asked again before that."""
SILENT_SECONDS = 900.0
"""A worker that is started anew is missed for less than that."""
NOTHING = "nothing-of-this-name"
"""Asked for to see whether a store answers."""


def measure(engine: Engine, *, location: DataLocation, storage: Callable[[], Storage], host: str) -> None:
    """Look at a location and write down what is seen. Trouble with that is logged, and stops nothing."""
    try:
        seen = look(location, storage)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            write(connection, seen, location=location, host=host)
    except Exception:  # work goes on without
        logger.warning("%s could not be measured.", location.full_name, exc_info=True)


def look(location: DataLocation, storage: Callable[[], Storage]) -> Seen:
    """Look at a location as this host reaches it; what is wrong with it is part of what is seen."""
    try:
        opened = storage()
        if isinstance(location.storage, S3Storage):
            opened.stat(NOTHING)
            return Seen(total_bytes=location.storage.capacity_bytes, used_is_stored=True)
        space = opened.space()
    except DtsError as error:
        return Seen(trouble=str(error), used_is_stored=isinstance(location.storage, S3Storage))
    if space is None:
        return Seen()
    return Seen(total_bytes=space.total_bytes, used_bytes=space.used_bytes, is_read_only=space.is_read_only)


def write(connection: Connection, seen: Seen, *, location: DataLocation, host: str) -> None:
    """Write what was seen, and what changes with it; one statement where nothing does (in autocommit)."""
    recorded = record(connection, seen, full_name=location.full_name, host=host)
    if recorded is None:
        return
    judgement = judge(seen, used_bytes=recorded.used_bytes, location=location, was=recorded.was_by_share)
    if judgement.condition is recorded.was:
        return
    logger.warning("%s", judgement.why)
    record_change(
        connection,
        data_location_id=recorded.data_location_id,
        was=recorded.was,
        condition=judgement.condition,
        why=judgement.why,
    )


def somebody_should_look(
    engine: Engine, *, location: DataLocation, due_seconds: float, is_listened_to: Callable[[], bool], asks: str
) -> bool:
    """Tell whether a host should be asked to look at a location now, because nobody has for `due_seconds`.

    If no worker answers, and none has seen it for a while, that is written down instead. `asks` is this host.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        asked = ask(connection, full_name=location.full_name, due_seconds=due_seconds, asked_seconds=ASKED_SECONDS)
        if asked is None:
            return False
        forget(connection, data_location_id=asked.data_location_id)
        if is_listened_to():
            return True
        if asked.seen_at is not None and asked.now - asked.seen_at > timedelta(seconds=SILENT_SECONDS):
            hosts = " or ".join(location.hosts)
            trouble = f"no worker on {hosts} answers, and none has seen it since {clock(asked.seen_at)}"
            write(connection, Seen(trouble=trouble), location=location, host=asks)
    return False
