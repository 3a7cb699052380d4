"""Bundling: packages that wait in a buffer are gathered into a DataTransferPackage for one destination.

**What it does.** At the observatory each DataTransferPackage goes to one archive site, round robin: data leaves once.
At the archive site that received it, what the other archives lack is gathered for them. It closes by size or by age,
whichever comes first; nothing is moved or copied here.

**Safe to repeat?** Always. A closed DataTransferPackage never changes.

**When it fails.** Only if ops-db cannot be reached: it is tried again by itself.

**To stop it.** Pause this DAG: packages pile up in the buffers, and go on when it is resumed.
"""

from include.airflow_glue.lanes import add_lanes, stage_dag
from include.topology import OperationKind

with stage_dag(
    OperationKind.BUNDLING, number=2, doc_md=__doc__, after=(OperationKind.PACKAGING, OperationKind.UNPACKING)
) as dag:
    add_lanes(OperationKind.BUNDLING)
