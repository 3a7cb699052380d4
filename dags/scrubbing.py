"""Scrubbing: copies in archives and buffers are read again, and compared with their checksums.

**What it does.** Every copy comes due before it was last verified `scrub_after_days` ago (policy), each on a day of its
own, so that no night reads everything; at once what the deletion gate asks for. It is read where it lies, by a worker
beside it. A copy that is damaged or gone is marked so, no other copy is deleted on its account, and it is repaired.

**Safe to repeat?** Always: it only reads.

**When it fails.** The storage could not be read: it is tried again by itself. Damage does not make a task red: the
operation's explanation names what was found, and the repair follows under archiving or transfer.

**To stop it.** Pause this DAG. Once verifications are too old for the deletion gate, nothing is deleted any more.
"""

from include.airflow_glue.lanes import add_lanes, stage_dag
from include.topology import OperationKind

with stage_dag(OperationKind.SCRUBBING, number=8, doc_md=__doc__) as dag:
    add_lanes(OperationKind.SCRUBBING)
