"""Packaging: raw data files of one observation and module become tar packages in the site's buffer.

**What it does.** At each SOURCE location, files that were filed and belong to no package yet are gathered into
RawDataPackages: when they reach the size cap, when the observation is finished, or when the oldest has waited long
enough. One pass over the files writes the tar and computes every checksum.

**Safe to repeat?** Always. The same files give the same bytes, and a package never changes once it is made.

**When it fails.** A file is missing, or is not what the instrument filed: the explanation names it. Put the file back
(or have the instrument file a corrected observation), then clear the failed task, or `dts retry` the operation.

**To stop it.** Pause this DAG: filing goes on, and files wait at the SOURCE.
"""

from include.airflow_glue.lanes import add_lanes, stage_dag
from include.topology import OperationKind

with stage_dag(OperationKind.PACKAGING, number=1, doc_md=__doc__, after=(OperationKind.REGISTRATION,)) as dag:
    add_lanes(OperationKind.PACKAGING)
