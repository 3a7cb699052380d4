"""What a person typed into the form of a manual run: a name that means nothing must not pass for "nothing was due"."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from include.sandbox.connections import ops_db_connection
from tests.dags.test_dags import ROOT
from tests.observatory import SANDBOX, Observatory
from tests.stages.moved import packaged

ASK = """
import json, sys
from airflow.sdk.exceptions import AirflowFailException
from include.airflow_glue import lanes
from include.topology import OperationKind
try:
    with lanes._permanent_errors_end_the_task():
        print(json.dumps(lanes._selection(json.loads(sys.argv[1]), kind=OperationKind.ARCHIVING).packages))
except AirflowFailException as error:
    print(json.dumps(f"failed: {error}"))
"""


def selected(engine: Engine, home: Path, *packages: str) -> object:
    """What `plan` in Airflow makes of these names: a list, or how its task fails."""
    url = make_url(engine.url).render_as_string(hide_password=False)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "DTS_TOPOLOGY": str(SANDBOX),
        **ops_db_connection(url),
    }
    command = [sys.executable, "-c", ASK, json.dumps({"packages": packages, "only_location": None})]
    run = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.timeout(180)
def test_a_misspelt_package_fails_the_task_and_a_right_one_is_selected(
    observatory: Observatory, tmp_path: Path
) -> None:
    (package,) = packaged(observatory)
    misspelt = package.name.replace("primecam", "primcam")
    assert selected(observatory.engine, tmp_path, package.name) == [package.name]
    failure = selected(observatory.engine, tmp_path, package.name, misspelt)
    assert failure == f"failed: There is no package '{misspelt}' in ops-db. Near it are: {package.name}."
