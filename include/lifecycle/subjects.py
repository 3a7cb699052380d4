"""What a pin or an override is about: one package, or an observation with its packages."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from include.errors import BadInputError
from include.lifecycle.package_lock import lock_packages
from include.ops_db.places import location_id
from include.ops_db.tables import DataLocation, ExecutedObsUnit, RawDataPackage
from include.topology import LocationType


@dataclass(frozen=True, kw_only=True)
class LifecycleSubject:
    """Exactly one of the two is set."""

    raw_data_package_id: int | None = None
    executed_obs_unit_id: UUID | None = None


def lock_subject(session: Session, subject: LifecycleSubject) -> list[int]:
    """Lock its packages, so that the gate either sees what is said about them or has decided before; return their ids.

    Raises:
        BadInputError: ops-db does not know the observation.
    """
    if subject.raw_data_package_id is not None:
        packages = [subject.raw_data_package_id]
    else:
        if session.get(ExecutedObsUnit, subject.executed_obs_unit_id) is None:
            raise BadInputError(
                f"ops-db does not know an observation {subject.executed_obs_unit_id}: nothing of it was accepted yet."
            )
        of_it = select(RawDataPackage.id).where(RawDataPackage.executed_obs_unit_id == subject.executed_obs_unit_id)
        packages = list(session.scalars(of_it.order_by(RawDataPackage.id)))
    lock_packages(session, packages)
    return packages


def deletable_place(session: Session, full_name: str) -> int:
    """Return the id of a location from which copies may go at all.

    Raises:
        TopologyError: ops-db does not know it.
        BadInputError: it is a long-term archive.
    """
    here = location_id(session, full_name)
    kind = session.execute(select(DataLocation.location_type).where(DataLocation.id == here)).scalar_one()
    if kind is LocationType.LONG_TERM_ARCHIVE:
        raise BadInputError(f"{full_name} is a long-term archive: nothing is ever deleted there, whoever asks.")
    return here
