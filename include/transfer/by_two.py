"""A pull over several connections, by one process, and by two when one core cannot keep up.

Python lets one process use little more than one core, which carries 350 to 400 MB/s. Over a link of 10 Gbit/s that is
a third. What fills such a link is many bundles: each slot of the lane is a process with a bundle of its own. But the
last bundle of a night is alone, and a package may be all of it; so what one process cannot carry, two halve, by blocks.
Not more than two: each needs memory for whole blocks, and both together must do with what a transfer may use.

The first process ends what is under way, and both go on with a half each, which the journals know about. At the end
the first looks at all of it once more, alone: it gives the file that was cut its name, names what is damaged, and
brings what the second, for whatever reason, did not.

A pull that is held to a timetable stays in one process, as does one of compressed files, which other threads unpack.
"""

import time
from contextlib import suppress
from dataclasses import replace

from include.transfer.by_streams import CHECK_SECONDS, run_engine
from include.transfer.halves import halves
from include.transfer.news import Tell
from include.transfer.pool import Pool
from include.transfer.pull_engine import PullEngine, PullTask
from include.transfer.pulled import DamagedOriginError, Progress, Pulled
from include.transfer.second import Second
from include.transfer.terms import Terms

HALF_ARENA_BYTES = 80 * 1024 * 1024
"""A block of 64 MiB, and some for the next: two processes of 60 to 70 MB each with this keep within 300 MB."""


def pull_by_streams(task: PullTask) -> Pulled:
    """As `pull`."""
    began = time.monotonic()
    terms = task.terms
    may_share = terms.pace is None and all(item.twin is None for item in task.items)
    engines: list[PullEngine] = []

    def made(pool: Pool, tell: Tell) -> PullEngine:
        engines.append(PullEngine(replace(task, may_share=may_share), pool=pool, tell=tell))
        return engines[0]

    pulled = run_engine(made, terms=terms)
    engine = engines.pop()
    if pulled.finished or not engine.is_shared:
        return pulled
    left = replace(
        terms,
        yield_after_seconds=max(0.0, terms.yield_after_seconds - (time.monotonic() - began)),
        most_streams=max(1, terms.most_streams // 2),
        remembered_streams=engine.fleet.wanted,
    )
    del engine
    return _pull_by_two(replace(task, terms=left), pulled)


def _pull_by_two(task: PullTask, before: Pulled) -> Pulled:
    ends_at = time.monotonic() + task.terms.yield_after_seconds
    here, there = halves(task.items, root=task.root)
    with Second(replace(task, items=there, arena_bytes=HALF_ARENA_BYTES, terms=_unheard(task.terms))) as second:
        tally = _Tally(task, before, second)
        with suppress(DamagedOriginError):  # it is found again at the end, with what the other one found
            _run(replace(task, items=here, arena_bytes=HALF_ARENA_BYTES), tally)
        is_over = False
        while not is_over:
            is_over = second.wait(CHECK_SECONDS)
            task.terms.check()
            tally.tell()
    both = tally.so_far
    if time.monotonic() >= ends_at:
        return both
    last = _run(task, _Tally(task, both))
    skipped = max(0, sum(item.content.size_bytes for item in task.items) - both.bytes_sent - last.bytes_sent)
    return replace(
        last,
        bytes_sent=both.bytes_sent + last.bytes_sent,
        bytes_received=both.bytes_received + last.bytes_received,
        bytes_skipped=skipped if last.finished else both.bytes_skipped,
    )


def _unheard(terms: Terms) -> Terms:
    """The same, with nobody who hears anything: whoever does is in this process."""
    return Terms(
        yield_after_seconds=terms.yield_after_seconds,
        patience_seconds=terms.patience_seconds,
        most_streams=terms.most_streams,
        remembered_streams=terms.remembered_streams,
    )


def _run(task: PullTask, tally: "_Tally") -> Pulled:
    terms = replace(task.terms, on_progress=tally.hear)
    return run_engine(lambda pool, tell: PullEngine(replace(task, terms=terms), pool=pool, tell=tell), terms=terms)


class _Tally:
    """What was sent altogether: before, in the run that is under way here, and by the second process."""

    def __init__(self, task: PullTask, before: Pulled, second: Second | None = None) -> None:
        self._on_progress = task.terms.on_progress
        self._before = before
        self._here = Progress(task.items[0], 0, 0)
        self._second = second

    def hear(self, progress: Progress) -> None:
        """Hear how far the run here is."""
        self._here = progress
        self.tell()

    def tell(self) -> None:
        """Tell how far all of it is."""
        so_far = self.so_far
        self._on_progress(
            replace(
                self._here,
                bytes_sent=so_far.bytes_sent,
                bytes_skipped=so_far.bytes_skipped,
                bytes_received=so_far.bytes_received,
            )
        )

    @property
    def so_far(self) -> Pulled:
        """All of it, and not finished."""
        sent, received = self._here.bytes_sent, self._here.bytes_received
        if self._second is not None:
            sent += self._second.bytes_sent
            received += self._second.bytes_received
        return Pulled(
            self._before.bytes_sent + sent,
            self._before.bytes_skipped,
            finished=False,
            bytes_received=self._before.bytes_received + received,
        )
