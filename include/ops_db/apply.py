"""Applying a topology: its sites, locations and instruments become rows; version and hash are stored."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from include.errors import TopologyError
from include.ops_db.places import applied_topology
from include.ops_db.states import NO_BYTES
from include.ops_db.tables import DataLocation, Instrument, InstrumentModule, PhysicalCopy, Site, TopologyVersion
from include.plurals import counted
from include.topology import Topology


@dataclass(frozen=True)
class Applied:
    """What applying did."""

    version_id: int
    changed: bool


def apply_topology(session: Session, topology: Topology, *, applied_by: str, moved: Collection[str] = ()) -> Applied:
    """Make `topology` the applied one; applying the same again changes nothing.

    `moved` are full names of locations whose files somebody has moved to the root or bucket that `topology` says.

    Raises:
        TopologyError: a location that still holds copies would be dropped, or would change its type or kind of storage,
            or its root or bucket without being `moved`; or there is no location of a name in `moved`.
    """
    session.execute(text("select pg_advisory_xact_lock(hashtext('dts topology apply'))"))
    now_applied = applied_topology(session)
    if now_applied is not None and now_applied.sha256 == topology.sha256:
        return Applied(now_applied.version_id, changed=False)
    _refuse_to_lose_copies(session, topology, moved=moved)
    _write_places(session, topology)
    _write_instruments(session, topology)
    version = TopologyVersion(sha256=topology.sha256, document=topology.model_dump(mode="json"), applied_by=applied_by)
    session.add(version)
    session.flush()
    return Applied(version.id, changed=True)


def _refuse_to_lose_copies(session: Session, topology: Topology, *, moved: Collection[str]) -> None:
    kept = {location.full_name: location for location in topology.data_locations}
    for name in moved:
        if name not in kept:
            raise TopologyError(f"There is no location {name!r} that could have moved: use one of {', '.join(kept)}.")
    places = _applied_places(session)
    held = session.execute(
        select(DataLocation.full_name, DataLocation.location_type, DataLocation.storage_type, func.count())
        .join(PhysicalCopy, PhysicalCopy.data_location_id == DataLocation.id)
        .where(PhysicalCopy.status.not_in(NO_BYTES))
        .group_by(DataLocation.full_name, DataLocation.location_type, DataLocation.storage_type)
    ).all()
    for full_name, location_type, storage_type, count in held:
        copies = counted(count, "copy")
        location = kept.get(full_name)
        if location is None:
            raise TopologyError(
                f"The location {full_name} still holds {copies} and cannot leave the topology. Put it back"
                " into the file, let its copies be deleted or moved, and then drop it."
            )
        if (location.location_type, location.storage.type) != (location_type, storage_type):
            raise TopologyError(
                f"The location {full_name} still holds {copies} as a {location_type} on {storage_type}, and"
                f" cannot become a {location.location_type} on {location.storage.type}. Give the new one another name."
            )
    for full_name, _, _, count in held:
        copies = counted(count, "copy")
        was, is_now = places.get(full_name), _place(kept[full_name].storage.model_dump())
        if was not in (None, is_now) and full_name not in moved:
            raise TopologyError(
                f"The location {full_name} still holds {copies} below {was}; with {is_now} instead, none of them"
                " would be found, and all would be called missing. Move its files there, or give the new place another"
                f" name. If they are moved already: `dts topology apply --moved {full_name}`."
            )


def _applied_places(session: Session) -> dict[str, str]:
    """Where the files of each location are by the topology that is applied now."""
    document = session.scalar(select(TopologyVersion.document).order_by(TopologyVersion.id.desc()).limit(1)) or {}
    return {f"{each['site']}_{each['name']}": _place(each["storage"]) for each in document.get("data_locations", ())}


def _place(storage: Mapping[str, str]) -> str:
    """A root without the slash at its end, for that means the same; or a bucket."""
    return str(PurePosixPath(storage["root"])) if storage["type"] == "disk" else f"bucket {storage['bucket']}"


def _write_places(session: Session, topology: Topology) -> None:
    for site in topology.sites:
        site_values = {"name": site.name, "location": site.location}
        session.execute(
            insert(Site)
            .values(short_name=site.short_name, **site_values)
            .on_conflict_do_update(index_elements=["short_name"], set_=site_values)
        )
    session.execute(update(DataLocation).values(active=False))
    for location in topology.data_locations:
        values: dict[str, object] = {
            "site": location.site,
            "location_type": location.location_type.value,
            "storage_type": location.storage.type,
            "priority": location.priority,
            "active": True,
        }
        session.execute(
            insert(DataLocation)
            .values(full_name=location.full_name, **values)
            .on_conflict_do_update(index_elements=["full_name"], set_=values)
        )


def _write_instruments(session: Session, topology: Topology) -> None:
    for instrument in topology.instruments:
        session.execute(insert(Instrument).values(name=instrument.name).on_conflict_do_nothing())
        instrument_id = session.scalars(select(Instrument.id).where(Instrument.name == instrument.name)).one()
        for module in instrument.modules:
            session.execute(
                insert(InstrumentModule).values(instrument_id=instrument_id, name=module).on_conflict_do_nothing()
            )
