"""Unpacking: at the destination every package, and every file in it, is verified by checksum.

**What it does.** Each package that a transfer brought is read once and compared with its manifest: the package, its
blocks, and every file in it. What is good becomes a verified copy in the destination's buffer.

**Safe to repeat?** Always. It only reads, and nothing is sent again for it.

**When it fails.** A package that is not what it was is moved to `quarantine/`, and its transfer fetches it anew by
itself. If that does not help, the explanation says so and names the package: look at the copy at its origin.

**To stop it.** Pause this DAG: packages wait, unverified, in the destination's buffer.
"""

from include.airflow_glue.lanes import add_lanes, stage_dag
from include.topology import OperationKind

with stage_dag(OperationKind.UNPACKING, number=4, doc_md=__doc__, after=(OperationKind.TRANSFER,)) as dag:
    add_lanes(OperationKind.UNPACKING)
