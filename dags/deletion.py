"""Deletion: copies that are safe elsewhere and no longer wanted are removed, everywhere but in the archives.

**What it does.** For each package at a SOURCE, BUFFER or PROCESSING location the gate asks, in one locked
transaction: is it archived, are there enough verified copies at enough archive sites, is the grace period over, does
nobody need this copy? Only then a deletion record with the evidence is written, and the files go. Raw files take two
steps: once their package is out of the way they are `deletion_possible`, then they go by age or because room is needed,
the safest and oldest first and only as much as makes room. Folders that are empty then go too, if the instrument or we
made them; a file that ops-db does not know is never touched.

**When it waits for a person.** More than policy's brake allows would go from a location at once: see the DAG
`deletion_brake` or `dts brake list`. Other locations go on.

**Safe to repeat?** Always. Trigger it with *Dry run* to see what would go, without anything going.

**When it fails.** A file that is gone before its time, or is not what was archived, is reported and left alone: the
explanation names it. Find out why before anything else.

**To stop it.** Pause this DAG: nothing is deleted anywhere, and disks fill.
"""

from include.airflow_glue.lanes import add_lanes, stage_dag
from include.airflow_glue.requests import DELETION_PARAMS
from include.topology import OperationKind

with stage_dag(
    OperationKind.DELETION,
    number=7,
    doc_md=__doc__,
    after=(OperationKind.ARCHIVING, OperationKind.STAGING),
    params=DELETION_PARAMS,
) as dag:
    add_lanes(OperationKind.DELETION)
