"""Bundling: packages that must leave a buffer are gathered into a DataTransferPackage, a list for one destination.

**What it does.** `plan` puts every package that must go from this buffer to another site into the open bundle of its
destination, instruments in turn by bytes, each instrument's oldest first, whatever observation it belongs to:

- *primary*, at a site without an archive: each bundle goes to one archive site, in turn (the site whose last bundle is
  oldest is next; ops-db knows, so a restart changes nothing). Data leaves the observatory once.
- *secondary*, at a site with an archive: what came here by the primary transfer, or was born here, goes to each further
  archive site that neither has it nor is being sent it. No other site sends it, so no two archives send the same.

A package goes again if its transfer failed for good or was cancelled, or if its copy was lost where it had arrived,
before an archive had it. A bundle closes `bundle_max_age_seconds` after it
was opened, or as soon as it holds `bundle_max_bytes`; a larger package has a bundle to itself. One bundle for each
destination is open at a time: what finds it full waits until it is closed, or until less than four full bundles are on
their way there. What overtakes (a flagged observation, a package that a scientist waits for) has a bundle of its own,
which closes at once; one that it was put into before closes at once, too. `run` closes a bundle and orders its
transfer, which the destination then pulls; it moves nothing itself. Where the route says `compression: zstd`, it makes
compressed twins of the packages first, below `compressed/` in this buffer, as many as are worth it and have room.

**When it is safe to repeat.** Always. A bundle is closed once, and a closed one never changes.

**When it fails.** Compressing never fails it: what has no twin goes as it is. Else only ops-db is touched: once it is
well, `dts retry` the operation or clear its task.

**How to stop it.** Pause this DAG. Packages wait in the buffer.
"""

from typing import Any, cast

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from include.errors import TransientError
from include.operations.stage import Done, Planning, Work
from include.ops_db.states import BundleState
from include.plurals import counted
from include.stages.compressing import Compressed, compress
from include.stages.gathering import gather
from include.stages.ways import runs_at
from include.topology import OperationKind

KIND = OperationKind.BUNDLING

# A plan that is adding to the bundle is waited for; later ones see that its operation is in progress, and add nothing.
BUNDLE = text(
    """
    select b.state, target.full_name as destination
    from data_transfer_package b join data_location target on target.id = b.destination_location_id
    where b.id = :bundle_id for share of b
    """
)

CONTENT = text(
    """
    select count(*) as packages, coalesce(sum(p.size_bytes), 0) as size_bytes
    from data_transfer_package_member m join raw_data_package p on p.id = m.raw_data_package_id
    where m.data_transfer_package_id = :bundle_id
    """
)

CLOSE = text(
    """
    with closed as (
      update data_transfer_package set state = 'closed', closed_at = now()
      where id = :bundle_id and state = 'open'
      returning id, origin_location_id, destination_location_id
    )
    insert into data_transfer (data_transfer_package_id, origin_location_id, destination_location_id)
    select id, origin_location_id, destination_location_id from closed
    """
)


def plan(planning: Planning) -> None:
    """Fill the open bundles of this buffer, open new ones, and want each of them closed in time."""
    gather(planning)


def run(work: Work) -> Done:
    """Close one bundle and order its transfer."""
    assert work.lease.data_transfer_package_id is not None
    named = {"bundle_id": work.lease.data_transfer_package_id}
    with Session(work.engine) as session:
        bundle = session.execute(BUNDLE, named).one()
        content = session.execute(CONTENT, named).one()
    if bundle.state == BundleState.CLOSED:
        return Done(explanation=f"The bundle to {bundle.destination} was closed already; nothing is left to do.")
    here = work.location.full_name
    is_pushed = runs_at(work.topology, origin=here, destination=bundle.destination) == here
    next_step = f"{here} pushes it to {bundle.destination} next" if is_pushed else f"{bundle.destination} pulls it next"
    compressed = compress(work, bundle_id=work.lease.data_transfer_package_id, destination=bundle.destination)
    return Done(
        explanation=f"The bundle is closed with {counted(content.packages, 'package')} of"
        f" {int(content.size_bytes):,} bytes; {next_step}.{compressed.explanation}",
        record=lambda session: _close(session, named, compressed),
    )


def _close(session: Session, named: dict[str, int], compressed: Compressed) -> None:
    compressed.remember(session, bundle_id=named["bundle_id"])
    if cast("CursorResult[Any]", session.execute(CLOSE, named)).rowcount != 1:
        raise TransientError(f"Bundle {named['bundle_id']} was closed by somebody else meanwhile.")
