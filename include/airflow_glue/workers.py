"""Who runs a task, whether a person asked for it, and who listens to a queue."""

import os
from collections.abc import Callable
from typing import Any

from airflow.sdk import conf, get_current_context
from airflow.sdk.exceptions import AirflowRuntimeError
from celery import Celery, current_task

from include.airflow_glue.connections import this_host
from include.lanes import Lane
from include.operations.identity import Worker

LISTENING_TIMEOUT_SECONDS = 2.0


def is_manual_try(instance: Any) -> bool:
    """Tell whether a person asked for this try (by clearing the task), rather than Airflow's own retry.

    Clearing raises `max_tries` to the tries so far plus `retries`, so the first try after it is exactly
    `max_tries - retries + 1`; so is the very first try of all, which nobody asked for again.
    """
    try_number = int(instance.try_number)
    return try_number > 1 and try_number == int(instance.max_tries) - int(instance.task.retries) + 1


def has_ended(dag_id: str) -> Callable[[str], bool]:
    """Return a question to Airflow: has this run of the DAG ended?"""

    def ask(run_id: str) -> bool:
        instance: Any = get_current_context()["ti"]
        try:
            return instance.get_dagrun_state(dag_id=dag_id, run_id=run_id) in {"success", "failed"}
        except AirflowRuntimeError:
            return True  # the run was deleted: nobody will come to what it had proposed

    return ask


def is_listened_to(lane: Lane) -> bool:
    """Ask the lane's workers, through Celery's control channel, whether they listen to its queue.

    They answer at once; only a dead one costs the timeout.
    """
    with Celery(broker=conf.get("celery", "broker_url")) as app:
        asked = app.control.inspect(
            destination=[f"celery@{host}" for host in lane.location.hosts], timeout=LISTENING_TIMEOUT_SECONDS
        )
        answers = asked.active_queues() or {}
    return any(queue["name"] == lane.name for queues in answers.values() for queue in queues)


def this_worker(instance: Any) -> Worker:
    """Return who runs this task: what Celery itself says of queue and host, and Airflow of the task instance."""
    request = getattr(current_task, "request", None)
    delivery = getattr(request, "delivery_info", None) or {}
    return Worker(
        host=this_host(),
        pid=os.getpid(),
        worker_pid=os.getsid(0),
        queue=delivery.get("routing_key"),
        dag_id=instance.dag_id,
        run_id=instance.run_id,
        task_id=instance.task_id,
        map_index=instance.map_index if instance.map_index is not None else -1,
        try_number=instance.try_number,
    )
