"""The caller's side of the engine: it runs in the pool's loop, and tells the caller's thread what happens."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event
from typing import Protocol

from include.transfer.adapt import Decision
from include.transfer.engine import Arrived, Damage, Engine, Task
from include.transfer.pool import Pool, pool
from include.transfer.pulled import DamagedOriginError, Progress, Pulled

CHECK_SECONDS = 1.0


def pull_by_streams(
    task: Task,
    *,
    check: Callable[[], None],
    on_progress: Callable[[Progress], None],
    on_decision: Callable[[Decision], None],
) -> Pulled:
    """As `pull`."""
    if not task.items:
        return Pulled(0, 0, finished=True)
    return run_engine(
        lambda shared, tell: Engine(task, pool=shared, tell=tell),
        check=check,
        on_progress=on_progress,
        on_decision=on_decision,
    )


class AnyEngine(Protocol):
    """What moves bytes one way or the other."""

    bytes_sent: int
    bytes_skipped: int
    bytes_received: int
    damage: list[Damage]
    is_finished: bool

    async def run(self) -> None:
        """Move everything, or as much as time allows."""


Tell = Callable[[Arrived | Decision], None]


def run_engine(
    make: Callable[[Pool, Tell], AnyEngine],
    *,
    check: Callable[[], None],
    on_progress: Callable[[Progress], None],
    on_decision: Callable[[Decision], None],
) -> Pulled:
    """Run what `make` makes in the pool's loop, and return or raise what `pull` does."""
    shared = pool()
    told: SimpleQueue[Arrived | Decision | None] = SimpleQueue()
    ended = Event()
    made: list[AnyEngine] = []

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
        _listen(told, check=check, on_progress=on_progress, on_decision=on_decision)
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


def _listen(
    told: SimpleQueue[Arrived | Decision | None],
    *,
    check: Callable[[], None],
    on_progress: Callable[[Progress], None],
    on_decision: Callable[[Decision], None],
) -> None:
    """Hand on what is told, up to the end."""
    while True:
        try:
            news = told.get(timeout=CHECK_SECONDS)
        except Empty:
            check()
            continue
        match news:
            case None:
                return
            case Decision():
                on_decision(news)
            case Arrived():
                if news.item is not None:
                    on_progress(
                        Progress(
                            news.item,
                            news.bytes_sent,
                            news.bytes_skipped,
                            news.bytes_received,
                            news.rate,
                            news.streams,
                        )
                    )
                check()
