"""The round of the metrics DAG: what it asks of Airflow's connections."""

import logging

from airflow.sdk import BaseHook, Connection, task
from airflow.sdk.exceptions import AirflowNotFoundException

from include.airflow_glue.connections import engine, topology
from include.errors import BadInputError
from include.lanes import CONTROL_QUEUE
from include.metrics.export import export
from include.metrics.influxdb import InfluxAddress, writer

logger = logging.getLogger(__name__)

CONNECTION = "influxdb"


@task(task_id="export", queue=CONTROL_QUEUE)
def export_once() -> str:
    """Look how things stand, and send what InfluxDB has not had yet."""
    try:
        connection = BaseHook.get_connection(CONNECTION)
    except AirflowNotFoundException:
        said = f"There is no Airflow connection {CONNECTION}: nothing is sent."
    else:
        said = export(engine(), topology=topology(), write=writer(influx_address(connection))).sentence()
    logger.info("%s", said)
    return said


def influx_address(connection: Connection) -> InfluxAddress:
    """Read the connection: host, port, schema (https), password (the token), extras `organization` and `bucket`.

    Raises:
        BadInputError: one of them is missing.
    """
    extra = connection.extra_dejson
    needed = {
        "host": connection.host,
        "password (the token)": connection.password,
        "extra organization": extra.get("organization"),
        "extra bucket": extra.get("bucket"),
    }
    for what, value in needed.items():
        if not value:
            raise BadInputError(f"The Airflow connection {CONNECTION} has no {what}: add it.")
    port = f":{connection.port}" if connection.port else ""
    return InfluxAddress(
        url=f"{connection.schema or 'https'}://{connection.host}{port}",
        organization=extra["organization"],
        bucket=extra["bucket"],
        token=connection.password or "",
    )
