"""Having registration look for work soon: a run of its DAG, but never more of them than can be of use.

Each run looks for all filings that wait, so that one is enough for a hundred that come in the same moment. What is not
rung is found by the clock of the DAG.
"""

import logging
import threading
import time
from datetime import UTC, datetime

from airflow.api.common.trigger_dag import trigger_dag
from airflow.models import DagRun
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType

logger = logging.getLogger(__name__)

DAG_ID = "registration"
PAUSE_SECONDS = 2.0
"""Between two runs."""
FAR_SECONDS = 60.0
"""A run that is not begun for so long waits for something else; another one may do better."""


class Bell:
    """Rings in a thread of its own, which ends when nothing is to be rung for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = False
        self._ringing = False

    def ring(self) -> None:
        """Ask for a run; return at once."""
        with self._lock:
            self._wanted = True
            if self._ringing:
                return
            self._ringing = True
        threading.Thread(target=self._ring, name="dts-api-bell", daemon=True).start()

    def _ring(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._ringing = False
                    return
                self._wanted = False
            try:
                start_run()
            except Exception:
                logger.exception("registration could not be started; its clock finds what waits")
            time.sleep(PAUSE_SECONDS)


def start_run() -> None:
    """Start a run of registration, unless one is about to begin anyway."""
    now = datetime.now(UTC)
    waiting = DagRun.find(dag_id=DAG_ID, state=DagRunState.QUEUED)
    if any(run.queued_at and (now - run.queued_at).total_seconds() < FAR_SECONDS for run in waiting):
        return
    trigger_dag(
        dag_id=DAG_ID,
        run_id=f"filed__{now:%Y%m%dT%H%M%S.%f}",
        triggered_by=DagRunTriggeredByType.REST_API,
    )
