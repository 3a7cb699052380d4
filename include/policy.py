"""The numbers that people decide about: sizes, times, what is kept, and what may go without a person's yes."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from pydantic import Field

from include.places import DataLocation, Instrument, LocationType, Model
from include.plurals import counted
from include.retention import Retention, RetentionRule

T = TypeVar("T")


class Brake(Model):
    """What one run may delete at a location without a person's yes: the smaller of both."""

    share: float = Field(default=0.25, gt=0, le=1)
    """Share of the bytes that are stored at the location."""
    bytes: int | None = Field(default=None, ge=0)
    """Bytes (default: no limit but the share)."""


class Policy(Model):
    """The numbers that people decide about. Sizes in bytes, times in seconds."""

    package_max_bytes: int = Field(default=50 * 10**9, ge=1)
    package_max_files: int = Field(default=20_000, ge=1)
    package_max_age_seconds: int = Field(default=1800, ge=0)
    """An unfinished observation's files wait at most this long for a package."""
    bundle_max_bytes: int = Field(default=50 * 10**9, ge=1)
    bundle_max_age_seconds: int = Field(default=600, ge=0)
    archive_copies: int = Field(default=2, ge=1)
    """Verified archive copies that must exist before any other copy may be deleted."""
    archive_sites: int = Field(default=2, ge=1)
    """At how many different sites they must be."""
    deletion_grace_seconds: int = Field(default=7 * 86400, ge=0)
    """For so long after archiving nothing goes, under any pressure: somebody may find a mistake."""
    verified_within_days: float | None = Field(default=None, gt=0)
    """An archive copy counts for so long after its last verification (default: for ever)."""
    retention: tuple[RetentionRule, ...] = ()
    """The first rule that matches a copy counts; where none does, it goes as soon as these numbers here allow."""
    brake: Brake = Brake()
    """What one run may delete without a person's yes."""
    scrub_after_days: int = Field(default=180, ge=1)
    """A copy in an archive or a buffer is read again before it was last verified this long ago."""
    inline_files_max: int = Field(default=500, ge=1)
    """More files than this are filed by naming a manifest."""
    clock_seconds: int = Field(default=300, ge=10)
    """Each stage looks for work at least this often, bells or not."""
    plan_patience_seconds: float = Field(default=0, ge=0, le=30)
    """A plan waits up to this long for what falls due meanwhile, rather than leave it to the next clock."""
    batch_bytes: int = Field(default=4 * 10**9, ge=1)
    """Small operations share a mapped task until they add up to this."""
    batch_operations: int = Field(default=50, ge=1, le=1000)
    attempts_max: int = Field(default=8, ge=1)
    """Transient failures before a person is called; afterwards it goes on slowly."""
    retry_seconds: float = Field(default=60, gt=0)
    """First pause after a transient failure; doubles, with jitter, up to an hour."""
    waiting_seconds: float = Field(default=300, gt=0)
    """Pause of an operation that waits for space, a person or a recall."""

    def retention_at(self, *, location_type: LocationType, full_name: str, instrument: str, module: str) -> Retention:
        """Return what holds for copies of this instrument and module at a location."""
        for number, rule in enumerate(self.retention, start=1):
            if rule.matches(location_type=location_type, full_name=full_name, instrument=instrument, module=module):
                return self._resolved(rule, number=number)
        return self._resolved(RetentionRule(), number=None)

    def _resolved(self, rule: RetentionRule, *, number: int | None) -> Retention:
        return Retention(
            rule=number,
            keep_days=rule.keep_days,
            keep_days_after_filing=rule.keep_days_after_filing,
            release=rule.release,
            grace_seconds=_or(rule.deletion_grace_seconds, self.deletion_grace_seconds),
            archive_copies=_or(rule.archive_copies, self.archive_copies),
            archive_sites=_or(rule.archive_sites, self.archive_sites),
            verified_within_days=_or(rule.verified_within_days, self.verified_within_days),
        )


def _or(said: T | None, otherwise: T) -> T:
    return otherwise if said is None else said


def problems_of(
    policy: Policy, *, locations: Sequence[DataLocation], instruments: Sequence[Instrument]
) -> Iterator[str]:
    """Yield what of a policy does not fit the rest of its topology, each with its place."""
    yield from _copies_asked_for("policy", policy.archive_copies, policy.archive_sites, locations=locations)
    for number, rule in enumerate(policy.retention, start=1):
        where = f"policy.retention.{number - 1} (rule {number})"
        yield from (f"{where}: {problem}" for problem in _strangers(rule, locations=locations, instruments=instruments))
        numbers = (rule.archive_copies, rule.archive_sites)
        if numbers != (None, None):
            copies, sites = _or(numbers[0], policy.archive_copies), _or(numbers[1], policy.archive_sites)
            yield from _copies_asked_for(where, copies, sites, locations=locations)
        for earlier, other in enumerate(policy.retention[: number - 1], start=1):
            if other.covers(rule):
                yield f"{where}: rule {earlier} matches all that it does and stands before it, so it never counts"
                break


def doubts_about(policy: Policy) -> Iterator[str]:
    """Yield what of a policy is possible, and hardly meant."""
    days = [("policy", policy.verified_within_days)]
    rules = enumerate(policy.retention, start=1)
    days += [(f"policy.retention.{number - 1} (rule {number})", rule.verified_within_days) for number, rule in rules]
    for where, within in days:
        if within is not None and within < policy.scrub_after_days:
            yield (
                f"{where}.verified_within_days: {within:g} is less than scrub_after_days ({policy.scrub_after_days}),"
                " so most deletions would first have archive copies read again"
            )


def _copies_asked_for(where: str, copies: int, sites: int, *, locations: Sequence[DataLocation]) -> Iterator[str]:
    archives = [location for location in locations if location.location_type is LocationType.LONG_TERM_ARCHIVE]
    archive_sites = {location.site for location in archives}
    if len(archive_sites) < sites:
        yield (
            f"{where}.archive_sites: {sites} asked for, but only"
            f" {counted(len(archive_sites), 'site')} with a long_term_archive: nothing could ever be deleted"
        )
    if len(archives) < copies:
        yield f"{where}.archive_copies: {copies} asked for, but there are fewer archives"
    if copies < min(2, len(archives)):
        yield (
            f"{where}.archive_copies: {copies} asked for, but there are {len(archives)} archives: one copy is enough"
            " only where there is one archive"
        )
    if sites < min(2, len(archive_sites)):
        yield (
            f"{where}.archive_sites: {sites} asked for, but {len(archive_sites)} sites have an archive: one site is"
            " enough only where there is one"
        )


def _strangers(
    rule: RetentionRule, *, locations: Sequence[DataLocation], instruments: Sequence[Instrument]
) -> Iterator[str]:
    """Find names in a rule that are nobody's: a rule that matches nothing would keep or free nothing, silently."""
    types = {location.full_name: location.location_type for location in locations}
    deletable = [each.value for each in LocationType if each is not LocationType.LONG_TERM_ARCHIVE]
    if types.get(rule.at or "") is LocationType.LONG_TERM_ARCHIVE:
        yield f"at: {rule.at} is a long_term_archive: nothing is ever deleted there, so no rule is needed"
    elif rule.at is not None and rule.at not in deletable and rule.at not in types:
        yield f"at: {rule.at} is neither {', '.join(deletable)} nor a location: {', '.join(types)}"
    named = [instrument for instrument in instruments if rule.instrument in (None, instrument.name)]
    if rule.instrument is not None and not named:
        known = ", ".join(instrument.name for instrument in instruments)
        yield f"instrument: there is no instrument {rule.instrument}, but {known}"
    elif rule.module is not None and not any(rule.module in instrument.modules for instrument in named):
        known = ", ".join(module for instrument in named for module in instrument.modules)
        yield f"module: there is no module {rule.module}, but {known}"
