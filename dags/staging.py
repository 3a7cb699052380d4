"""Staging: archived packages are brought to a PROCESSING location and unpacked there, for a while.

**What it does.** A StagingJob asks for packages until a date. Trigger this DAG with *Stage these*, *Only this location*
and *Until* to make one (or `dts stage`): it is refused, with the numbers, if there is no room for it. Each package is
read from the nearest archive, every file is verified, and then appears under `{instrument}/{observation}/`. After the
date it may be deleted there. With *Extend* and *Until*, or *Release*, its owner or an operator ends it later, or now.
`dts staging show` says how far a job is, what is missing and why.

**Safe to repeat?** Always. A file appears under its name only when its checksum matched.

**When it fails.** A copy in the archive that is not what it was is marked corrupt, and the next good one is used;
without one the explanation names the package. No space: it waits.

**To stop it.** Pause this DAG: jobs wait.
"""

from include.airflow_glue.lanes import add_lanes, stage_dag
from include.airflow_glue.requests import STAGING_PARAMS, request
from include.topology import OperationKind

with stage_dag(
    OperationKind.STAGING, number=6, doc_md=__doc__, after=(OperationKind.ARCHIVING,), params=STAGING_PARAMS
) as dag:
    request() >> add_lanes(OperationKind.STAGING)
