"""Which alarms hold now, by the rules of the topology. Pure: what is known goes in, values come out."""

from collections.abc import Iterator
from datetime import datetime

from include.alarm_rules import AlarmRules, Severity
from include.notifications.alarm import Judged
from include.notifications.judge_places import of_links, of_places, outage_of
from include.notifications.judge_workers import of_workers
from include.notifications.observed import LaneSeen, Observed
from include.operations.decide import clock
from include.plurals import counted
from include.sizes import size
from include.topology import LocationType, Topology


def judge(seen: Observed, *, topology: Topology) -> list[Judged]:
    """Return every alarm that holds, each once."""
    found = [
        *of_places(seen, topology=topology),
        *of_links(seen, topology=topology),
        *of_workers(seen, topology=topology),
        *_of_lanes(seen, topology=topology),
        *_of_sources(seen, topology=topology),
        *_of_copies(seen, rules=topology.alarms),
        *_of_people(seen, rules=topology.alarms),
        *_of_clocks(seen, topology=topology),
        *_of_channels(seen, rules=topology.alarms),
    ]
    enabled = {name for name in AlarmRules.model_fields if getattr(topology.alarms, name).enabled}
    return [alarm for alarm in found if alarm.rule in enabled]


def _of_lanes(seen: Observed, *, topology: Topology) -> Iterator[Judged]:
    rules = topology.alarms
    for lane in seen.lanes:
        hours = _hours_since(lane.oldest_at, now=seen.now)
        quiet_hours = _hours_since(lane.completed_at, now=seen.now)
        nothing_done = quiet_hours is None or quiet_hours > rules.lane_stalled.hours
        if hours is not None and hours > rules.lane_stalled.hours and nothing_done and not lane.is_at_work:
            last = f"since {clock(lane.completed_at)}" if lane.completed_at else "ever"
            yield Judged(
                key=f"lane_stalled:{lane.name}",
                rule="lane_stalled",
                severity=rules.lane_stalled.severity,
                sentence=f"{lane.kind} at {lane.location} does not move: its oldest work has waited for {hours:.0f}"
                f" hours, and nothing was completed there {last}. {lane.why}",
                outage=_outage_of_lane(lane, seen=seen, topology=topology),
                site=lane.site,
                location=lane.location,
            )
        if lane.failed and lane.kind != "staging":
            more = f" {counted(lane.failed - 1, 'more operation')} failed there, too." if lane.failed > 1 else ""
            yield Judged(
                key=f"work_failed:{lane.name}",
                rule="work_failed",
                severity=rules.work_failed.severity,
                sentence=f"{lane.kind} at {lane.location}: {lane.failed_why}{more}",
                outage=f"failed work at {lane.site}",
                site=lane.site,
                location=lane.location,
            )


def _outage_of_lane(lane: LaneSeen, *, seen: Observed, topology: Topology) -> str:
    """A transfer that stands still behind a link that is down is a part of that outage."""
    cut = next((each for each in seen.cuts if lane.kind == "transfer" and each.destination == lane.location), None)
    return outage_of(cut, topology=topology) if cut else lane.site


def _of_sources(seen: Observed, *, topology: Topology) -> Iterator[Judged]:
    rule = topology.alarms.backlog
    for source in seen.sources:
        hours = _hours_since(source.oldest_at, now=seen.now)
        if hours is None or hours <= rule.hours:
            continue
        cut = next((each for each in seen.cuts if each.site == source.site), None)
        yield Judged(
            key=f"backlog:{source.location}",
            rule="backlog",
            severity=rule.severity,
            sentence=f"What was filed at {source.location} has waited for {hours:.0f} hours to reach a first archive:"
            f" {counted(source.packages, 'package')} with {size(source.size_bytes)} are on their way.",
            outage=outage_of(cut, topology=topology) if cut else source.site,
            site=source.site,
            location=source.location,
        )


def _of_copies(seen: Observed, *, rules: AlarmRules) -> Iterator[Judged]:
    for bad in seen.bad_copies:
        more = f" and {bad.copies - len(bad.named)} more" if bad.copies > len(bad.named) else ""
        severity = rules.corrupt_copy.severity
        archive = bad.location_type == LocationType.LONG_TERM_ARCHIVE
        yield Judged(
            key=f"corrupt_copy:{bad.location}",
            rule="corrupt_copy",
            # In a buffer it is one of several on the way; in an archive it is what should last.
            severity=severity if archive else min(severity, Severity.WARNING, key=lambda each: each.rank),
            sentence=f"{counted(bad.copies, 'copy')} at {bad.location} {'is' if bad.copies == 1 else 'are'} damaged or"
            f" gone: {', '.join(bad.named)}{more}. It is repaired from a good copy where there is one;"
            " `dts explain PACKAGE` says how far that is.",
            outage=f"damaged copies at {bad.location}",
            site=bad.site,
            location=bad.location,
        )


def _of_people(seen: Observed, *, rules: AlarmRules) -> Iterator[Judged]:
    for brake in seen.brakes:
        if (seen.now - brake.asked_at).total_seconds() >= rules.brake_waiting.hours * 3600:
            yield Judged(
                key=f"brake_waiting:{brake.id}",
                rule="brake_waiting",
                severity=rules.brake_waiting.severity,
                sentence=f"Deletion at {brake.location} waits for a yes or no since {clock(brake.asked_at)}:"
                f" {brake.why} `dts brake show {brake.id}`.",
                outage=f"deletion at {brake.location}",
                site=brake.site,
                location=brake.location,
            )
    for job in seen.stagings:
        yield Judged(
            key=f"staging_failed:{job.id}",
            rule="staging_failed",
            severity=rules.staging_failed.severity,
            sentence=f"StagingJob {job.id} of {job.requested_by} at {job.location}:"
            f" {counted(job.failed, 'package')} could not be staged. {job.why}",
            outage=f"staging at {job.location}",
            site=job.site,
            location=job.location,
        )
    for filing in seen.filings:
        yield Judged(
            key=filing.key,
            rule="filing_refused",
            severity=rules.filing_refused.severity,
            sentence=f"Filing {filing.id} from {filing.received_from}: {filing.verdict} {filing.how_to_correct}",
            outage=f"filings of {filing.received_from}",
            site=filing.site,
            location=filing.location,
        )


def _of_clocks(seen: Observed, *, topology: Topology) -> Iterator[Judged]:
    rule = topology.alarms.clock_off
    sites = {host.name: host.site for host in topology.hosts}
    for host, ahead in seen.clocks_ahead.items():
        if abs(ahead) > rule.seconds:
            way = "ahead of" if ahead > 0 else "behind"
            yield Judged(
                key=f"clock_off:{host}",
                rule="clock_off",
                severity=rule.severity,
                sentence=f"The clock of {host} is {abs(ahead):.0f} seconds {way} that of ops-db: let chrony or"
                " systemd-timesyncd set it.",
                outage=f"clock of {host}",
                site=sites.get(host),
            )


def _of_channels(seen: Observed, *, rules: AlarmRules) -> Iterator[Judged]:
    for channel in seen.channels:
        yield Judged(
            key=f"channel_failing:{channel.channel}",
            rule="channel_failing",
            severity=rules.channel_failing.severity,
            sentence=f"The channel {channel.channel} has not taken a message since {clock(channel.since)}, in"
            f" {counted(channel.attempts, 'attempt')}: {channel.last_error}",
            outage=f"channel {channel.channel}",
        )


def _hours_since(moment: datetime | None, *, now: datetime) -> float | None:
    return None if moment is None else (now - moment).total_seconds() / 3600
