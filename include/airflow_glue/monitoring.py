"""The round of the monitoring DAG: what it asks of Celery and of Airflow's connections."""

import logging
import socket

from airflow.sdk import BaseHook, conf, task
from airflow.sdk.exceptions import AirflowNotFoundException
from celery import Celery

from include.airflow_glue.connections import engine, this_host, topology
from include.airflow_glue.workers import LISTENING_TIMEOUT_SECONDS
from include.errors import TransientError
from include.lanes import CONTROL_QUEUE
from include.notifications.access import Access
from include.notifications.observed import Listening
from include.notifications.watch import watch

logger = logging.getLogger(__name__)

REACH_TIMEOUT_SECONDS = 3.0
"""A connection across an ocean takes half a second."""


@task(task_id="watch", queue=CONTROL_QUEUE)
def watch_once() -> str:
    """Judge the alarms, and send what is due."""
    done = watch(
        engine(),
        topology=topology(),
        listening=listening,
        access_to=access_to,
        host=this_host(),
        reaches=reaches,
    ).sentence()
    logger.info("%s", done)
    return done


def listening() -> Listening | None:
    """Ask the workers of all hosts which queues they listen to; None where the broker cannot be asked.

    They answer at once; one that is dead costs the timeout, once for all of them.
    """
    hosts = [host.name for host in topology().hosts]
    try:
        with Celery(broker=conf.get("celery", "broker_url")) as app:
            names = [f"celery@{host}" for host in hosts]
            answers = app.control.inspect(destination=names, timeout=LISTENING_TIMEOUT_SECONDS).active_queues() or {}
    except Exception:  # the broker's own library raises what it likes; without an answer the plans' findings count
        logger.warning("The workers could not be asked what they listen to.", exc_info=True)
        return None
    return {
        name.removeprefix("celery@"): frozenset(queue["name"] for queue in queues) for name, queues in answers.items()
    }


def reaches(site: str) -> bool:
    """Tell whether a server of a site answers where its workers do not: then the link to it is there."""
    for location in topology().data_locations:
        if location.site == site and location.storage.type == "disk":
            try:
                connection = BaseHook.get_connection(location.full_name)
                address = (connection.host or "", connection.port or 22)
                with socket.create_connection(address, timeout=REACH_TIMEOUT_SECONDS):
                    return True
            except (OSError, AirflowNotFoundException):
                continue
    return False


def access_to(connection_id: str) -> Access:
    """Read the connection of a channel.

    Raises:
        TransientError: there is none (yet).
    """
    try:
        connection = BaseHook.get_connection(connection_id)
    except AirflowNotFoundException as error:
        raise TransientError(f"There is no Airflow connection {connection_id}: add it.") from error
    return Access(
        connection=connection_id,
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        signing_key=connection.extra_dejson.get("signing_key"),
    )
