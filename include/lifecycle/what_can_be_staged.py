"""Where packages can be staged, and which: those that an archive has a verified copy of."""

from collections.abc import Sequence

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.plurals import counted
from include.topology import DataLocation, LocationType, Topology

NAMED_PACKAGES = 5
"""In a message about wrong ones: enough to see what is meant, short enough to read."""

# Not `exists`: for many packages the planner would read all copies there are instead of theirs.
PACKAGES = text(
    """
    select p.id, p.name, p.state, coalesce((
      select true from physical_copy c join data_location l on l.id = c.data_location_id
      where c.raw_data_package_id = p.id and l.location_type = 'long_term_archive' and l.active
        and c.status = 'present' and c.verified_at is not null and c.checksum = p.checksum
      limit 1), false) as in_archive
    from raw_data_package p where p.name = any(:names) order by p.id
    """
)


def processing_location(topology: Topology, full_name: str) -> DataLocation:
    """Return the PROCESSING location of this name.

    Raises:
        BadInputError: there is none; the message has those that there are.
    """
    known = ", ".join(place.full_name for place in topology.of_type(LocationType.PROCESSING)) or "none"
    for place in topology.data_locations:
        if place.full_name == full_name:
            if place.location_type is LocationType.PROCESSING:
                return place
            kind = place.location_type.replace("_", " ")
            raise BadInputError(
                f"{full_name} is a {kind} location; packages are staged at processing locations: {known}."
            )
    raise BadInputError(f"There is no location {full_name!r}. Packages are staged at processing locations: {known}.")


def packages_to_be_had(
    session: Session, names: Sequence[str], *, also: Sequence[str], may_wait: bool
) -> Sequence[Row[tuple[int, str, str, bool]]]:
    """Return (id, name, state, in_archive) of the packages, by id; of `also` some may not be in an archive yet.

    Raises:
        BadInputError: there is no such package, or no archive has it and it may not wait.
    """
    if not names and not also:
        raise BadInputError("A StagingJob needs the name of at least one package.")
    found = session.execute(PACKAGES, {"names": [*names, *also]}).all()
    known = {row.name for row in found}
    if unknown := [name for name in names if name not in known]:
        raise BadInputError(
            f"There is no package {_named(unknown)}. `dts explain <observation>` lists an observation's packages."
        )
    if may_wait:
        return found
    named = set(names)
    if early := [f"{row.name} ({row.state})" for row in found if row.name in named and not row.in_archive]:
        raise BadInputError(
            f"No archive has a verified copy of {_named(early)}, so it cannot be staged: it can be once one has"
            " (`dts explain` says what it waits for). Ask again then, or ask for it to come by itself (--wait)."
        )
    if not any(row.in_archive for row in found):
        raise BadInputError(
            f"No archive has a verified copy of any of these {counted(len(found), 'package')} yet: they can be"
            " staged once one has. Ask again then, or ask for them to come by themselves (--wait)."
        )
    return found


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED_PACKAGES} more" if len(names) > NAMED_PACKAGES else ""
    return ", ".join(names[:NAMED_PACKAGES]) + more
