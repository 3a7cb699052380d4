"""How far the pipeline is, for people: a live table on a terminal, a line for each change otherwise."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from sqlalchemy import Engine, text

from include.lanes import PLACES

COUNTS = text(
    """
    select kind, count(*) filter (where status = 'completed') as done,
      count(*) filter (where status in ('scheduled', 'in_progress')) as in_work,
      count(*) filter (where status = 'pending') as waiting,
      count(*) filter (where status = 'failed') as failed,
      max(explanation) filter (where status = 'in_progress') as working,
      (array_agg(explanation order by finished_at desc nulls last) filter (where status = 'completed'))[1] as last
    from operation group by kind
    """
)


@dataclass(frozen=True)
class StageProgress:
    """Operations of one kind by what is going on with them, and the newest sentence."""

    done: int = 0
    in_work: int = 0
    waiting: int = 0
    failed: int = 0
    sentence: str = ""


def read_progress(engine: Engine) -> dict[str, StageProgress]:
    """Return the progress of every stage, in pipeline order."""
    with engine.connect() as connection:
        rows = {row.kind: row for row in connection.execute(COUNTS)}
    progress = {}
    for kind in PLACES:
        row = rows.get(kind)
        progress[str(kind)] = (
            StageProgress(row.done, row.in_work, row.waiting, row.failed, row.working or row.last or "")
            if row
            else StageProgress()
        )
    return progress


class Display:
    """Shows progress until the end of the `with` block."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._shown: dict[str, StageProgress] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, progress: dict[str, StageProgress], *, seconds: float) -> None:
        """Show the present state."""
        if self._live:
            self._live.update(_table(progress, seconds=seconds))
            return
        for kind, stage in progress.items():
            if stage != self._shown.get(kind, StageProgress()):
                self._console.print(
                    f"{seconds:6.1f} s  {kind:<12}  {stage.done} done, {stage.in_work} in work,"
                    f" {stage.waiting} waiting, {stage.failed} failed  {stage.sentence}",
                    soft_wrap=True,
                    markup=False,
                    highlight=False,
                )
        self._shown = progress


def _table(progress: dict[str, StageProgress], *, seconds: float) -> Table:
    table = Table(title=f"The observation's way, {seconds:.0f} s", expand=True)
    for name in ("stage", "done", "in work", "waiting", "failed"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    table.add_column("now", ratio=1, no_wrap=True, overflow="ellipsis")
    for kind, stage in progress.items():
        style = "red" if stage.failed else "green" if stage.done and not stage.in_work and not stage.waiting else ""
        numbers = (stage.done, stage.in_work, stage.waiting, stage.failed)
        table.add_row(kind, *(str(number or "·") for number in numbers), stage.sentence, style=style)
    return table
