"""`airflow` that has imported what our tasks need: `python -m include.sandbox.preloaded celery worker ...`.

Airflow runs each task in a fork of the worker, and parses each DAG file in a fork of the dag-processor. What those have
not imported, every fork imports anew: 0.4 s of CPU for a task that does nothing, 1 s for a DAG file, 2-3 s for a task
that uses the SFTP and S3 hooks. A fork has it for nothing.
"""

import importlib
import pkgutil
import runpy

import include

AIRFLOW = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.supervisor",
    "airflow.dag_processing.dagbag",
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.postgres.hooks.postgres",
    "airflow.providers.sftp.hooks.sftp",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.python",
)
NOT_FOR_TASKS = (
    "include.api",
    "include.cli",
    "include.instrument_client",
    "include.ops_db.migrations",
    "include.page",
    "include.sandbox",
)


def modules_of_tasks() -> list[str]:
    """Return the modules under include/ that tasks may use."""
    found = (module.name for module in pkgutil.walk_packages(include.__path__, prefix="include."))
    return [name for name in found if not name.startswith(NOT_FOR_TASKS)]


if __name__ == "__main__":
    for name in (*AIRFLOW, *modules_of_tasks()):
        importlib.import_module(name)
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)
