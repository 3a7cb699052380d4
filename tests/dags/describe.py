"""Run as a process of its own: parse the bundle as Airflow does, and print what came of it as JSON.

Tests look at the answer, so that importing Airflow (4 s, and its warnings) stays out of theirs.
"""

import json
import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.file import list_py_file_paths

import include

bundle = Path(sys.argv[1])
bag = DagBag(str(bundle), safe_mode=True)


def described(task):
    return {
        "queue": task.queue,
        "pool": task.pool,
        "trigger_rule": getattr(task.trigger_rule, "value", task.trigger_rule),
        "outlets": [outlet.uri for outlet in task.outlets],
        "downstream": sorted(task.downstream_task_ids),
        "mapped": isinstance(task, MappedOperator),
        "retries": task.retries,
        "owner": task.owner,
        "map_index_template": task.map_index_template,
        "called_on_failure": [type(callback).__name__ for callback in task.on_failure_callback or ()],
    }


answer = {
    "candidates": sorted(Path(path).name for path in list_py_file_paths(str(bundle))),
    "import_errors": bag.import_errors,
    "include": include.__file__,
    "dags": {
        dag_id: {
            "display_name": dag.dag_display_name,
            "tags": sorted(dag.tags),
            "doc_md": dag.doc_md,
            "max_active_runs": dag.max_active_runs,
            "catchup": dag.catchup,
            "params": sorted(dag.params),
            "file": Path(dag.fileloc).name,
            "dagrun_timeout": dag.dagrun_timeout is not None,
            "groups": sorted(group for group in dag.task_group_dict if group),
            "tasks": {task.task_id: described(task) for task in dag.tasks},
            "serialized": DagSerialization.to_dict(dag),
        }
        for dag_id, dag in bag.dags.items()
    },
}
json.dump(answer, sys.stdout, sort_keys=True, default=str)
