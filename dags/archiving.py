"""Archiving: verified packages are copied into the long-term archive, read back, and marked archived.

**What it does.** A package goes from the site's buffer to S3 by multipart upload; then it is read back and compared
with its checksum. A JSON file beside it carries the manifest and its ObsCore metadata.

**Safe to repeat?** Always. An object that is there already is verified instead of sent again.

**When it fails.** The store is away: it is tried again by itself. A bucket or a right is missing: the explanation
names it; mend that, then clear the failed task. A copy that changed in the buffer is marked corrupt, and named.

**To stop it.** Pause this DAG: packages wait in the buffers, and nothing of them is deleted anywhere.
"""

from include.airflow_glue.lanes import add_lanes, stage_dag
from include.topology import OperationKind

with stage_dag(OperationKind.ARCHIVING, number=5, doc_md=__doc__, after=(OperationKind.UNPACKING,)) as dag:
    add_lanes(OperationKind.ARCHIVING)
