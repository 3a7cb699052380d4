"""What the deletion gate asks, one function a question: each returns the sentence of its refusal, or None.

All are asked under the package's lock. An answer that needs rows of other tables reads them after the lock was taken.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlalchemy import text

from include.lifecycle.case import Case
from include.lifecycle.copies import Copy
from include.lifecycle.overrides import Override
from include.lifecycle.pins import pin_of
from include.lifecycle.readers import readers_of
from include.lifecycle.scrub_requests import ask_for_scrub
from include.ops_db.states import PackageState
from include.plurals import counted
from include.topology import LocationType

FILES_PACKAGED = text(
    """
    select count(*) as filed, count(*) filter (where offset_bytes is not null and checksum is not null) as packaged,
      min(path) filter (where offset_bytes is null or checksum is null) as left_out
    from raw_data_file where raw_data_package_id = :package
    """
)

UNPACKED_AT = text(
    """
    select l.full_name from data_transfer_package_member m
    join data_transfer t using (data_transfer_package_id)
    join data_location l on l.id = t.destination_location_id
    where m.raw_data_package_id = :package and t.unpacking_status = 'completed' and l.site <> :site
    limit 1
    """
)

CLAIMED_BY_OTHERS = text(
    """
    select mine.path, other.executed_obs_unit_id
    from raw_data_file mine
    join raw_data_file other on other.data_location_id = :here and other.path = mine.path and other.id <> mine.id
    join physical_copy c on c.raw_data_file_id = other.id and c.data_location_id = :here
    where mine.raw_data_package_id = :package
      and other.raw_data_package_id is distinct from mine.raw_data_package_id and c.status not in ('deleted', 'missing')
    order by mine.path
    limit 1
    """
)

PROTECTED_BY = text(
    """
    select j.id, j.requested_by, j.until from staging_job j
    join staging_job_package m on m.staging_job_id = j.id
    where m.raw_data_package_id = :package and j.data_location_id = :here and j.state = 'active' and j.until > :now
    order by j.until desc
    limit 1
    """
)

CAME_BY_PRIMARY_TRANSFER = text(
    """
    select exists (
      select from data_transfer_package_member m join data_transfer_package b on b.id = m.data_transfer_package_id
      where m.raw_data_package_id = :package and b.destination_location_id = :here and b.is_primary)
    """
)


def is_it_an_archive(case: Case) -> str | None:
    """From a long-term archive nothing is ever deleted, whatever else is true."""
    if case.is_at is LocationType.LONG_TERM_ARCHIVE:
        return f"{case.location.full_name} is a long-term archive: nothing is ever deleted there."
    return None


def is_it_archived(case: Case) -> str | None:
    """The package's own state must say so, and it must have been made at all."""
    package = case.package
    if package.state is not PackageState.ARCHIVED or package.archived_at is None or package.checksum is None:
        return f"{package.name} is {package.state}, not archived, so its copy at {case.location.full_name} stays."
    return None


def are_there_enough_copies(case: Case) -> str | None:
    """Verified archive copies, at enough sites; one that is being written, unverified, corrupt or missing is none.

    A verification that is too old is asked about last (`were_they_verified_lately`): a new one may be all it needs.
    """
    sound = (*case.copies.evidence, *case.copies.stale)
    return None if case.are_enough(sound) else _too_few(case, sound)


def _too_few(case: Case, counted_copies: Collection[Copy]) -> str:
    sites = {copy.site for copy in counted_copies}
    others = [copy for copy in case.copies.archives if copy not in counted_copies]
    not_counted = ", ".join(f"{copy.full_name} ({_why_not_counted(case, copy)})" for copy in others)
    return (
        f"{case.package.name} has {counted(len(counted_copies), 'verified archive copy')} at"
        f" {counted(len(sites), 'site')}, and"
        f" {case.copies_needed} at {case.sites_needed} are needed"
        + (f"; not counted: {not_counted}." if not_counted else ".")
    )


def _why_not_counted(case: Case, copy: Copy) -> str:
    if copy in case.copies.stale:
        assert copy.verified_at is not None
        return f"verified at {_clock(copy.verified_at)}, longer ago than {case.retention.verified_within_days:g} days"
    if copy.status != "present":
        return copy.status.value
    if copy.verified_at is None:
        return "never verified"
    if not (copy.wanted and copy.active):
        return "not meant to stay"
    return "its checksum or size is not the package's"


def was_everything_packaged(case: Case) -> str | None:
    """At a SOURCE: a raw file that is not in the tar, with its checksum, has no other copy."""
    if case.is_at is not LocationType.SOURCE:
        return None
    row = case.session.execute(FILES_PACKAGED, case.values).one()
    if row.filed == row.packaged == case.package.file_count:
        return None
    left_out = f"; {row.left_out!r} is not" if row.left_out is not None else ""
    return (
        f"{row.packaged} of {case.package.file_count} files are in {case.package.name} with their checksums{left_out}."
    )


def was_it_checked_at_a_destination(case: Case) -> str | None:
    """At a SOURCE without an archive at its site: another site must have unpacked it and compared every file.

    What leaves by direct routes is never unpacked: there an archive at another site must have read back all of it.
    """
    if case.is_at is not LocationType.SOURCE or case.location.site in case.topology.archive_sites:
        return None
    if _leaves_directly(case) and any(copy.site != case.location.site for copy in case.copies.evidence):
        return None
    if case.session.execute(UNPACKED_AT, case.values).one_or_none() is None:
        files = counted(case.package.file_count, "file")
        return f"No other site has unpacked {case.package.name} and compared its {files} yet."
    return None


def _leaves_directly(case: Case) -> bool:
    """Tell whether a buffer of this site has a direct route."""
    buffers = case.topology.of_type(LocationType.BUFFER)
    return any(b.site == case.location.site and case.topology.direct_sites(b.full_name) for b in buffers)


def does_another_observation_claim_its_files(case: Case) -> str | None:
    """At a SOURCE: the same file filed twice must not go with the first of its packages."""
    if case.is_at is not LocationType.SOURCE:
        return None
    row = case.session.execute(CLAIMED_BY_OTHERS, case.values).one_or_none()
    if row is None:
        return None
    return (
        f"{row.path!r} of {case.package.name} is also filed for observation {row.executed_obs_unit_id}:"
        " a person must decide whose file it is."
    )


def is_the_grace_period_over(case: Case) -> str | None:
    """For a while after archiving everything stays, in case somebody finds a mistake."""
    assert case.package.archived_at is not None
    grace_seconds = case.retention.grace_seconds
    ends_at = case.retention.grace_ends_at(case.package.archived_at)
    if case.now >= ends_at:
        return None
    return (
        f"{case.package.name} was archived at {_clock(case.package.archived_at)} and stays for {grace_seconds} seconds,"
        f" until {_clock(ends_at)}."
    )


def is_its_time_over(case: Case) -> str | None:
    """What may go stays for as long as its rule says, or while there is room; under pressure it need not."""
    if case.pressure:
        return None
    assert case.package.archived_at is not None
    retention, where = case.retention, case.location.full_name
    goes_at = retention.goes_by_age_at(archived_at=case.package.archived_at, filed_at=case.package.created_at)
    if goes_at is None:
        return (
            f"{case.package.name} stays at {where} while there is room: {retention.name} lets it go by pressure only."
        )
    if case.now >= goes_at:
        return None
    return (
        f"{retention.name.capitalize()} keeps {case.package.name} at {where} until {_clock(goes_at)},"
        " unless room is needed before."
    )


def is_it_pinned(case: Case) -> str | None:
    """A person said that it must stay."""
    held = pin_of(
        case.session,
        raw_data_package_id=case.package.id,
        observation=case.package.executed_obs_unit_id,
        data_location_id=case.data_location_id,
        now=case.now,
    )
    if held is None:
        return None
    until = f"until {_clock(held.until)}" if held.until else "until somebody releases it"
    what = "" if held.subject == case.package.name else f" with its {held.subject}"
    return (
        f"{held.pinned_by} pinned {case.package.name}{what} {'everywhere' if held.location is None else 'here'}"
        f" {until} (pin {held.id}): {held.reason.rstrip('.')}."
    )


def does_a_staging_job_protect_it(case: Case) -> str | None:
    """At PROCESSING: it stays until the last active job is over."""
    if case.is_at is not LocationType.PROCESSING:
        return None
    job = case.session.execute(PROTECTED_BY, case.values).one_or_none()
    if job is None:
        return None
    return (
        f"Staging job {job.id} of {job.requested_by} keeps {case.package.name} at {case.location.full_name}"
        f" until {_clock(job.until)}."
    )


def does_an_archive_still_need_it(case: Case) -> str | None:
    """At a BUFFER: archives are filled from the buffer of their site, and from where the primary transfer arrived."""
    if case.is_at is not LocationType.BUFFER:
        return None
    sound = (*case.copies.evidence, *case.copies.stale)
    filled = {copy.full_name for copy in sound}
    direct = case.topology.direct_archives(case.location.full_name)
    for archive in case.topology.of_type(LocationType.LONG_TERM_ARCHIVE):
        is_fed = archive.site == case.location.site or archive.full_name in direct
        if is_fed and archive.full_name not in filled:
            return f"{archive.full_name} has no verified copy of {case.package.name} yet, and gets it from here."
    filled_sites = {copy.site for copy in sound}
    waiting = [site for site in case.topology.archive_sites if site not in filled_sites]
    if waiting and case.session.execute(CAME_BY_PRIMARY_TRANSFER, case.values).scalar_one():
        return f"The archive at {waiting[0]} has no verified copy of {case.package.name} yet, and gets it from here."
    return None


def does_anything_read_it(case: Case) -> str | None:
    """No operation that lives, and no transfer on its way, may read from these copies or write to them."""
    readers = readers_of(
        case.session,
        raw_data_package_id=case.package.id,
        data_location_id=case.data_location_id,
        site=case.location.site,
        location_type=case.is_at,
        direct_archives=case.topology.direct_archives(case.location.full_name),
    )
    if not readers:
        return None
    more = f", and {len(readers) - 1} more" if len(readers) > 1 else ""
    return f"{case.package.name} is still in use at {case.location.full_name}: {readers[0]}{more}."


def were_they_verified_lately(case: Case) -> str | None:
    """Copies enough, but nobody has read some of them for too long: they are asked to be read again.

    Asked last, when nothing else keeps it: reading an archive again is dear. With the refusal a scrub of each is
    wanted, and stands once the transaction commits; after it the gate is asked again.
    """
    if case.are_enough(case.copies.evidence):
        return None
    ask_for_scrub(
        case.session,
        case.copies.stale,
        why=f"{case.package.name} may go from {case.location.full_name} once this copy was read again.",
    )
    return f"{_too_few(case, case.copies.evidence)} They are read again first (scrubbing)."


def why_it_may_go(case: Case) -> str:
    """The sentence for the record when no question had an objection."""
    evidence = case.copies.evidence
    sites = {copy.site for copy in evidence}
    now = "room is needed" if case.pressure else "its grace period is over"
    override = ""
    if case.override is not None and not _as_policy_asks(case):
        needed = f"{case.retention.archive_copies} at {case.retention.archive_sites}"
        override = f" Policy asks for {needed}: {case.override.people}."
    return (
        f"{case.package.name} has {counted(len(evidence), 'verified archive copy')} at {counted(len(sites), 'site')}"
        f" ({', '.join(copy.full_name for copy in evidence)}), {now}, and nothing needs it"
        f" at {case.location.full_name}.{override}"
    )


def used_override(case: Case) -> Override | None:
    """Return the override without which it would stay."""
    return None if _as_policy_asks(case) else case.override


def _as_policy_asks(case: Case) -> bool:
    return replace(case, override=None).are_enough(case.copies.evidence)


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
