"""Transfer: the destination pulls the packages of a DataTransferPackage from site to site.

**What it does.** Each block of 64 MiB is verified as it arrives and noted in a journal beside the `.part` file; a
package gets its name once all of its blocks are there. A transfer that takes long hands back after half an hour and
goes on.

**Safe to repeat?** Always. Blocks that were verified are not sent again, whatever was killed or cut.

**When it fails.** The link or a server is away: it is tried again by itself, with growing pauses, and says so in its
explanation. No space at the destination: it waits. A block that stays wrong: the explanation names the copy that is
bad.

**To stop it.** Pause this DAG: transfers under way end within half an hour, the rest wait.
"""

from include.airflow_glue.lanes import add_lanes, stage_dag
from include.topology import OperationKind

with stage_dag(OperationKind.TRANSFER, number=3, doc_md=__doc__, after=(OperationKind.BUNDLING,)) as dag:
    add_lanes(OperationKind.TRANSFER)
