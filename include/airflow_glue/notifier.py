"""An alarm for a task of a stage that failed: written into ops-db at once, cleared by the rounds of monitoring."""

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseNotifier

from include.airflow_glue.connections import engine, topology
from include.lanes import Lane, lanes_of_kind
from include.notifications import ledger
from include.notifications.alarm import Judged
from include.operations.decide import sentence
from include.topology import OperationKind, Topology

logger = logging.getLogger(__name__)


class AlarmNotifier(BaseNotifier):
    """Raises the alarm `work_failed` of the task's lane. Trouble with that is logged, and stops nothing."""

    def notify(self, context: Any) -> None:
        """Write it; a failure of the same lane that is open already is only seen again."""
        try:
            alarm = of_task(topology(), context["ti"], context.get("exception"))
            rule = topology().alarms.work_failed
            if rule.enabled:
                with engine().begin() as connection:
                    ledger.see_event(connection, alarm, stays=timedelta(hours=rule.hours))
        except Exception:  # the task has failed; that no alarm was written must not hide why
            logger.warning("No alarm could be raised for this failure.", exc_info=True)


def of_task(where: Topology, instance: Any, error: BaseException | None) -> Judged:
    """Return the alarm about a failed task instance: the lane's own if it is of one, else the task's."""
    lane = _lane_of(where, dag_id=instance.dag_id, task_id=instance.task_id)
    subject = lane.name if lane else f"{instance.dag_id}.{instance.task_id}"
    place = f"{lane.kind} at {lane.location.full_name}" if lane else f"{instance.dag_id}"
    site = lane.location.site if lane else None
    why = sentence(error) if error is not None else "Its process died, or was killed."
    return Judged(
        key=f"work_failed:{subject}",
        rule="work_failed",
        severity=where.alarms.work_failed.severity,
        sentence=f"{place}: task {instance.task_id} of run {instance.run_id} failed. {why}",
        outage=f"failed work at {site}" if site else f"failed work of {instance.dag_id}",
        site=site,
        location=lane.location.full_name if lane else None,
    )


def _lane_of(where: Topology, *, dag_id: str, task_id: str) -> Lane | None:
    if dag_id not in {kind.value for kind in OperationKind}:
        return None
    group = task_id.partition(".")[0]
    return next((lane for lane in lanes_of_kind(where, OperationKind(dag_id)) if lane.group_id == group), None)
