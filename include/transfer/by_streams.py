"""The caller's side of an engine: it runs in the pool's loop, and tells the caller's thread what happens."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from include.transfer.adapt import Decision
from include.transfer.course import Course
from include.transfer.news import Arrived, Tell
from include.transfer.pool import Pool, pool
from include.transfer.pulled import DamagedOriginError, Progress, Pulled
from include.transfer.terms import Terms

CHECK_SECONDS = 1.0


def run_engine(make: Callable[[Pool, Tell], Course[Any]], *, terms: Terms) -> Pulled:
    """Run what `make` makes in the pool's loop, and return or raise what `pull` does."""
    shared = pool()
    told: SimpleQueue[Arrived | Decision | None] = SimpleQueue()
    ended = Event()
    made: list[Course[Any]] = []

    async def run() -> None:
        try:
            engine = make(shared, told.put)
            made.append(engine)
            await engine.run()
        finally:
            ended.set()
            told.put(None)

    running = shared.loop.start(run())
    try:
        _listen(told, terms)
        running.result()
    except BaseException:
        running.cancel()
        ended.wait()
        raise
    engine = made[0]
    if engine.is_finished and engine.damage:
        raise DamagedOriginError(
            " ".join(damage.sentence for damage in engine.damage),
            items=tuple(damage.item for damage in engine.damage),
            missing=tuple(damage.item for damage in engine.damage if damage.is_missing),
        )
    return Pulled(engine.bytes_sent, engine.bytes_skipped, engine.is_finished, engine.bytes_received)


def _listen(told: "SimpleQueue[Arrived | Decision | None]", terms: Terms) -> None:
    """Hand on what is told, up to the end."""
    while True:
        try:
            news = told.get(timeout=CHECK_SECONDS)
        except Empty:
            terms.check()
            continue
        match news:
            case None:
                return
            case Decision():
                terms.on_decision(news)
            case Arrived():
                if news.item is not None:
                    terms.on_progress(
                        Progress(
                            news.item,
                            news.bytes_sent,
                            news.bytes_skipped,
                            news.bytes_received,
                            news.rate,
                            news.streams,
                        )
                    )
                terms.check()
