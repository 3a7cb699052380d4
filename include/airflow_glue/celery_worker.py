"""Celery's configuration for our workers: Airflow's own, and a heartbeat of the host into ops-db.

`AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS=include.airflow_glue.celery_worker.CONFIG` on each worker host. The heartbeat
finds ops-db by DTS_OPS_DB_URL, or by a connection `ops_db` that the host has itself (AIRFLOW_CONN_OPS_DB, a secrets
backend): outside of a task Airflow's server gives none away. Without either the worker works, and says so once.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.signals import worker_ready, worker_shutting_down

logger = logging.getLogger(__name__)

CONFIG = dict(DEFAULT_CELERY_CONFIG)

_ends = threading.Event()
_began = time.monotonic()


@worker_ready.connect
def begin(sender: Any = None, **_: Any) -> None:
    """Begin to beat, once the worker listens."""
    try:
        # Here, and not in the thread: tasks are forks of this process, and one that was made in the middle of an import
        # would wait for its end for ever.
        beats = _heart(sender)
    except Exception as error:  # noqa: BLE001 - whatever it is, the worker works without
        logger.warning("This worker sends no heartbeat: %s", error)
        return
    threading.Thread(target=beats, name="heartbeat", daemon=True).start()


@worker_shutting_down.connect
def end(**_: Any) -> None:
    """Let the thread say that the worker was stopped, and end."""
    _ends.set()


def _heart(consumer: Any) -> Callable[[], None]:
    """Return what beats until the worker is stopped."""
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.pool import NullPool

    from include.airflow_glue.connections import ops_db_address, this_host, topology
    from include.health.heartbeat import BEAT_SECONDS, beat, look, stopped
    from include.health.reach import Reach
    from include.ops_db.engine import CLIENT_OPTIONS
    from include.settings import settings

    url = make_url(settings().ops_db_url or ops_db_address()).set(drivername="postgresql+psycopg")
    # An engine of its own, which keeps no connection: each task is a fork of this process, and would share it.
    engine = create_engine(url, poolclass=NullPool, connect_args=CLIENT_OPTIONS)
    engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    host, known, reach = this_host(), topology(), Reach()

    def send(*, last: bool) -> None:
        if last:
            with engine.connect() as connection:
                stopped(connection, host=host)
            return
        running = time.monotonic() - _began
        queues = list(consumer.app.amqp.queues.consume_from)
        said = look(host=host, topology=known, queues=queues, running_seconds=running, reach=reach)
        with engine.connect() as connection:
            beat(connection, said)

    def beats() -> None:
        last = False
        while not last:
            last = _ends.is_set()
            try:
                send(last=last)
            except Exception as error:  # noqa: BLE001 - ops-db is away, or the link: the next beat tries again
                logger.warning("No heartbeat could be sent: %s", str(error).partition("\n")[0])
            if not last:
                _ends.wait(BEAT_SECONDS)

    return beats
