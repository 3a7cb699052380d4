"""Judge this host's clock. Pure."""

from include.doctor import words
from include.doctor.clock import Offset
from include.doctor.finding import Area, Finding, Verdict

GOOD_SECONDS = 1.0
BAD_SECONDS = 60.0
"""Leases live for two minutes; an S3 store refuses a clock that is a quarter of an hour wrong."""
ADVICE = "Let chrony or systemd-timesyncd set the clock (`timedatectl set-ntp true`)."


def judge_offset(other: str, found: Offset) -> Finding:
    """Judge how far the clocks are apart, as far as that is certain."""
    wrong = found.least_seconds
    verdict = Verdict.GOOD if wrong < GOOD_SECONDS else Verdict.COULD_BE_BETTER if wrong < BAD_SECONDS else Verdict.BAD
    if wrong == 0:
        sentence = f"no difference that could be seen (within {words.length(found.uncertain_seconds)})."
    else:
        way = "behind" if found.seconds > 0 else "ahead of"
        sentence = (
            f"this clock is {words.length(abs(found.seconds))} {way} it (±{words.length(found.uncertain_seconds)})."
        )
    return Finding(
        area=Area.CLOCK,
        what=f"against {other}",
        verdict=verdict,
        sentence=sentence,
        advice="" if verdict is Verdict.GOOD else ADVICE,
        value=found.seconds,
        unit="s",
    )


def judge_ntp(kept_right: bool) -> Finding:
    """Judge whether something sets the clock."""
    return Finding(
        area=Area.CLOCK,
        what="NTP",
        verdict=Verdict.GOOD if kept_right else Verdict.COULD_BE_BETTER,
        sentence="the clock is kept right." if kept_right else "nothing keeps the clock right.",
        advice="" if kept_right else ADVICE,
    )
