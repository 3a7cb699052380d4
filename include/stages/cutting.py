"""Cutting the files that were filed at a SOURCE into RawDataPackages: which files belong together, and when it is time.

Nothing is read here but ops-db. See `packaging.py`, whose `plan` this is.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, select, text
from sqlalchemy.orm import Session

from include.errors import TransientError
from include.lifecycle.lost import lost_packages
from include.operations.planning import NewOperation, want
from include.operations.stage import Planning
from include.ops_db.tables import RawDataPackage
from include.plurals import counted
from include.stages.filed_groups import FILES_A_PLAN, FiledFile, Group, files_of, ready_groups
from include.topology import OperationKind

SHORT_ID = 8
"""How much of an observation's UUID stands in a package's name."""

ASSIGN_FILES = text(
    """
    update raw_data_file f set raw_data_package_id = cut.package_id
    from unnest(cast(:file_ids as uuid[]), cast(:package_ids as bigint[])) as cut(file_id, package_id)
    where f.id = cut.file_id and f.raw_data_package_id is null
    """
)

FORGOTTEN = text(
    """
    select p.id, p.content_bytes from raw_data_package p
    where p.source_location_id = :here and p.packaged_at is null and p.state = 'waiting' and not exists (
      select from operation o where o.kind = 'packaging' and o.data_location_id = :here and o.raw_data_package_id = p.id
        and o.status not in ('completed', 'cancelled'))
    order by p.id limit :most
    """
)


@dataclass(slots=True)
class Portion:
    """Files for one package."""

    files: list[FiledFile] = field(default_factory=list)
    size_bytes: int = 0
    is_full: bool = False


@dataclass(frozen=True)
class _Cut:
    """A package with its files, and why it is made now."""

    package: RawDataPackage
    portion: Portion
    why: str


def portions(files: Iterable[FiledFile], *, max_bytes: int, max_files: int) -> Iterator[Portion]:
    """Share files, in their order, among packages; all but the last portion are full, and that one may be."""
    portion = Portion()
    for file in files:
        if portion.files and portion.size_bytes + file.size_bytes > max_bytes:
            portion.is_full = True
        if portion.is_full:
            yield portion
            portion = Portion()
        portion.files.append(file)
        portion.size_bytes += file.size_bytes
        portion.is_full = portion.size_bytes >= max_bytes or len(portion.files) >= max_files
    if portion.files:
        yield portion


def cut_packages(planning: Planning) -> None:
    """Make rows of packages whose time has come, give them their files, and want their packaging."""
    session = planning.session
    cuts = _cuts(planning)
    session.add_all(cut.package for cut in cuts)
    session.flush()
    _assign_files(session, cuts)
    _want(planning, [(cut.package.id, cut.portion.size_bytes, cut.why) for cut in cuts])
    forgotten = session.execute(FORGOTTEN, {"here": planning.data_location_id, "most": FILES_A_PLAN})
    _want(planning, [(row.id, row.content_bytes, "it was cut, but nobody is at work on it") for row in forgotten])
    lost = lost_packages(session, source_location_id=planning.data_location_id, most=FILES_A_PLAN)
    _want(planning, [(row.id, row.size_bytes, "no good copy of it is known any more") for row in lost])


def _cuts(planning: Planning) -> list[_Cut]:
    policy = planning.topology.policy
    waited_since = planning.now - timedelta(seconds=policy.package_max_age_seconds)
    cuts: list[_Cut] = []
    for group, files, more_follow in files_of(planning, ready_groups(planning, waited_since=waited_since)):
        made = 0
        for portion in portions(files, max_bytes=policy.package_max_bytes, max_files=policy.package_max_files):
            why = _why_now(portion, group, waited_since=waited_since, more_follow=more_follow)
            if why is not None:
                made += 1
                package = _package(planning, group, portion, number=group.last_number + made)
                cuts.append(_Cut(package, portion, why))
    if cuts:
        _tell_apart(planning.session, cuts)
    return cuts


def _why_now(portion: Portion, group: Group, *, waited_since: datetime, more_follow: bool) -> str | None:
    """Say why a portion becomes a package now; None if it does not."""
    if portion.is_full:
        return "it is full"
    if more_follow:
        return None
    if group.is_finished:
        return "its observation is finished"
    if min(file.filed_at for file in portion.files) <= waited_since:
        return "its oldest file has waited long enough"
    return None


def _package(planning: Planning, group: Group, portion: Portion, *, number: int) -> RawDataPackage:
    started_at = group.started_at.astimezone(UTC)
    short_id = str(group.observation_id)[:SHORT_ID]
    package = RawDataPackage(
        executed_obs_unit_id=group.observation_id,
        instrument_module_id=group.module_id,
        source_location_id=planning.data_location_id,
        number=number,
        file_count=len(portion.files),
        content_bytes=portion.size_bytes,
    )
    _call(
        package,
        f"{group.instrument}_{group.module}_{started_at:%Y%m%dT%H%M%S}_{short_id}_{number:04d}",
        folder=f"{group.instrument}/{started_at:%Y%m%d}",
    )
    return package


def _call(package: RawDataPackage, name: str, *, folder: str) -> None:
    package.name = name
    package.path = f"{folder}/{name}.tar"


def _tell_apart(session: Session, cuts: Sequence[_Cut]) -> None:
    """Give the whole UUID to packages whose name is taken: two observations may share its beginning and a second."""
    names = [cut.package.name for cut in cuts]
    taken = set(session.scalars(select(RawDataPackage.name).where(RawDataPackage.name.in_(names))))
    for cut in cuts:
        package = cut.package
        if package.name in taken:
            short_id = str(package.executed_obs_unit_id)[:SHORT_ID]
            name = f"_{package.executed_obs_unit_id}_".join(package.name.rsplit(f"_{short_id}_", 1))
            _call(package, name, folder=package.path.rpartition("/")[0])
        taken.add(package.name)


def _assign_files(session: Session, cuts: Sequence[_Cut]) -> None:
    pairs = [(file.id, cut.package.id) for cut in cuts for file in cut.portion.files]
    values = {"file_ids": [file_id for file_id, _ in pairs], "package_ids": [package_id for _, package_id in pairs]}
    assigned = cast(CursorResult[Any], session.execute(ASSIGN_FILES, values)).rowcount
    if assigned != len(pairs):
        raise TransientError(
            f"{counted(len(pairs) - assigned, 'file')} came into other packages while this plan cut them."
        )


def _want(planning: Planning, packages: Sequence[tuple[int, int, str]]) -> None:
    want(
        planning.session,
        kind=OperationKind.PACKAGING,
        data_location_id=planning.data_location_id,
        operations=[
            NewOperation(
                subject_id=package_id,
                size_bytes=size_bytes,
                explanation=f"The package is to be made: {why}. A worker at {planning.location.full_name} is next.",
            )
            for package_id, size_bytes, why in packages
        ],
    )
