"""Judge the disks of this host: who may write, how fast, and for how many days there is room. Pure."""

from include.doctor import words
from include.doctor.disk_speed import DiskSpeed
from include.doctor.filesystem import Filesystem
from include.doctor.finding import Area, Finding, Verdict
from include.doctor.judge_link import speed
from include.doctor.limits import DAY_SECONDS
from include.topology import LocationType, Policy

CUT_DAYS = 1.0
"""What a line that is down for a day leaves behind, beside what the policy keeps."""
FORGETFUL = frozenset({"tmpfs", "ramfs"})


def judge_reach(name: str, folder: str, *, filesystem: Filesystem, user: str) -> Finding:
    """Judge a folder that this user could write to."""
    forgets = filesystem.kind in FORGETFUL
    remark = ": a restart of the host loses everything there" if forgets else ""
    if user == "root":
        remark += "; root may write everywhere, so run it as the worker's account to know more"
    return Finding(
        area=Area.DISK,
        what=f"{name}, reached",
        verdict=Verdict.BAD if forgets else Verdict.GOOD,
        sentence=f"{folder} is on {filesystem.kind} ({filesystem.device}, mounted at {filesystem.mounted_at}),"
        f" writable by {user}{remark}.",
        advice="Put the location on a disk." if forgets else "",
    )


def not_writable(name: str, folder: str, *, user: str, why: str) -> Finding:
    """Judge a folder that is not there or not writable."""
    return Finding(
        area=Area.DISK,
        what=f"{name}, reached",
        verdict=Verdict.BAD,
        sentence=f"{folder} cannot be used by {user}: {why}.",
        advice=f"Mount it, or give it to the account of the worker; here {user} asked.",
    )


def judge_speed(name: str, found: DiskSpeed, *, need: float) -> list[Finding]:
    """Judge writing and reading. A disk that only just takes a peak day has nothing left for reading meanwhile."""
    how = "past the page cache" if found.how == "direct" else "with an fsync"
    advice = "The disk is slower than the line: use faster or more disks for this location."
    return [
        speed(Area.DISK, f"{name}, write", found.write, need=need, how=how, advice=advice),
        speed(Area.DISK, f"{name}, read", found.read, need=need, how=how, advice=advice),
    ]


def judge_space(name: str, kind: LocationType, *, filesystem: Filesystem, policy: Policy, need: float) -> Finding:
    """Judge the room by days of peak data: what the policy keeps, and a day for a line that is down."""
    a_day = need * DAY_SECONDS
    free, total = filesystem.free_bytes / a_day, filesystem.total_bytes / a_day
    fact = f"{words.size(filesystem.free_bytes)} of {words.size(filesystem.total_bytes)} free"
    comparison = f"{_days(free)} at {words.size(a_day)} a day"
    verdict, advice = Verdict.GOOD, ""
    if kind is LocationType.PROCESSING:
        sentence = f"{fact}: {comparison}; how much is needed is what people stage."
    else:
        wanted = policy.deletion_grace_seconds / DAY_SECONDS + CUT_DAYS
        kept = f"the policy keeps a copy for {_days(wanted - CUT_DAYS)} after it could have gone"
        sentence = f"{fact}: {comparison}; {kept}, and {CUT_DAYS:.0f} day is for a line that is down."
        if free < CUT_DAYS:
            verdict = Verdict.BAD
            advice = f"Free {words.size((CUT_DAYS - free) * a_day)}, enlarge it, or shorten deletion_grace_seconds."
        elif total < wanted:
            verdict = Verdict.COULD_BE_BETTER
            advice = f"Enlarge it to {words.size(wanted * a_day)}, or shorten deletion_grace_seconds in the policy."
    return Finding(
        area=Area.DISK,
        what=f"{name}, space",
        verdict=verdict,
        sentence=sentence,
        advice=advice,
        value=free,
        unit="days",
    )


def _days(count: float) -> str:
    return words.length(count * DAY_SECONDS) if 0 < count < 2 else f"{count:.3g} days"
