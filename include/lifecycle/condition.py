"""How a location is, by what was seen of it: a pure decision with a sentence why.

What got full stays so until it is below its low mark: else new work would go there and elsewhere by turns.
"""

from dataclasses import dataclass

from include.operations.decide import sentence
from include.ops_db.measurements import Seen
from include.ops_db.states import Condition
from include.sizes import size
from include.topology import DataLocation

_ABOVE = {
    Condition.FULL: "above its critical mark of {critical:.0%}: new work goes elsewhere or waits, until it is below"
    " {low:.0%}",
    Condition.PRESSED: "above its high mark of {high:.0%}: what may go is deleted, down to {low:.0%}",
}


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The condition of a location, and a sentence."""

    condition: Condition
    why: str


def judge(seen: Seen, *, used_bytes: int | None, location: DataLocation, was: Condition) -> Judgement:
    """Decide how a location is. `used_bytes` are those on record, which for S3 the catalogue knows."""
    name, marks = location.full_name, location.watermarks
    if seen.trouble is not None:
        return Judgement(condition=Condition.GONE, why=f"{name} is not reached: {sentence(Exception(seen.trouble))}")
    if seen.is_read_only:
        return Judgement(condition=Condition.READ_ONLY, why=f"{name} is mounted read-only: look at its disk.")
    if not seen.total_bytes or used_bytes is None:
        return Judgement(condition=Condition.WELL, why=f"{name} is reached; nobody knows how much it holds.")
    share = used_bytes / seen.total_bytes
    free = f"{size(max(seen.total_bytes - used_bytes, 0))} of {size(seen.total_bytes)} are free"
    condition = by_share(share, location=location, was=was)
    if condition is Condition.WELL:
        return Judgement(condition=condition, why=f"{name} is {share:.0%} full ({free}) and takes new work.")
    above = _ABOVE[condition].format(low=marks.low, high=marks.high, critical=marks.critical)
    if condition is was:
        above = f"not yet below its low mark of {marks.low:.0%} again"
    return Judgement(condition=condition, why=f"{name} is {share:.0%} full ({free}), {above}.")


def by_share(share: float, *, location: DataLocation, was: Condition) -> Condition:
    """Tell how a location is that is full to this share (0 to 1), by its marks and by how it was before."""
    marks = location.watermarks
    if share >= marks.critical or (was is Condition.FULL and share > marks.low):
        return Condition.FULL
    if share >= marks.high or (was is Condition.PRESSED and share > marks.low):
        return Condition.PRESSED
    return Condition.WELL
