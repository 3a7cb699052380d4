"""Who works on an operation: a task instance on a worker host."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A try of a task instance, with what the worker itself reports about where it runs."""

    host: str
    pid: int
    worker_pid: int | None = None
    queue: str | None = None
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1

    @property
    def lease_owner(self) -> str:
        """The task instance; its tries share it."""
        return f"{self.dag_id}/{self.run_id}/{self.task_id}/{self.map_index}"
