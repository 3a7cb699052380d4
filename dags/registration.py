"""Registration: an instrument files an observation and its raw data files.

**What it does.** `POST /api/v2/dags/registration/dagRuns` with a `conf` files the files of one observation and
module, inline or by naming a manifest that lies beside the data. `receive` writes the filing down; on the SOURCE host
every file is looked up; then all of it is registered, or nothing. `verdict` says in one sentence what became of it.

**Safe to repeat?** Always. The same filing again changes nothing, further files of an open observation are added, and
a contradiction is refused.

**When it fails.** A red `verdict` is a refused filing: its sentence names the culprit, and nothing was written. The
instrument corrects it and files again, under another run id.

**To stop it.** Do not: instruments would wait. Pause *packaging* instead.
"""

from include.airflow_glue.filing import FILING_PARAMS, receive_filing, tell_verdict
from include.airflow_glue.lanes import add_lanes, stage_dag
from include.topology import OperationKind

# Each filing is a run of its own, and one instrument must not wait for another's.
with stage_dag(OperationKind.REGISTRATION, number=0, doc_md=__doc__, params=FILING_PARAMS, runs_by_request=16) as dag:
    receive_filing() >> add_lanes(OperationKind.REGISTRATION) >> tell_verdict()
