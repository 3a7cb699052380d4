"""Showing the sandbox: it starts, an observation travels through it, and what became of it is told."""

import os
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine

from include.errors import DtsError, SandboxError
from include.sandbox.demo.instrument import (
    Observation,
    folder_originals,
    generated_originals,
    observe,
    require_fileable,
    sample_originals,
)
from include.sandbox.demo.journey import PROCESSING, SOURCE, Journey
from include.sandbox.demo.progress import Display
from include.sandbox.demo.report import Report, archive_figures, copy_figures, stage_figures, verify_staged
from include.sandbox.sandbox import Sandbox
from include.sandbox.signals import interrupts_on_any_end
from include.topology import load_topology


def main(
    data: Annotated[Path | None, typer.Option(help="A folder of files to send; default: bundled ones.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where to write the report as JSON.")] = None,
    seconds_setup: Annotated[float, typer.Option(help="How long making the environment took.")] = 0.0,
) -> None:
    """Start the sandbox, let an observation travel, print a report; on a terminal stay up until Ctrl-C."""
    console, trouble = Console(), Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    with interrupts_on_any_end():
        try:
            require_places(data, report)
            _demo(console, data=data, report=report, seconds_setup=seconds_setup)
        except DtsError as error:
            trouble.print(f"The demo did not come to its end: {error}")
            sys.exit(1)
        except KeyboardInterrupt:
            trouble.print("The demo was ended before it came to its end; nothing of it runs any more.")
            sys.exit(130)


def require_places(data: Path | None, report: Path | None) -> None:
    """Raise a SandboxError where the one cannot be read, or the other not be written."""
    if data is not None and not data.is_dir():
        raise SandboxError(f"DATA={data} is not a folder.")
    if data is not None:
        require_fileable(data)
    if report is not None and not report.resolve().parent.is_dir():
        raise SandboxError(f"REPORT={report}: there is no folder {report.resolve().parent}.")
    if report is not None and report.is_dir():
        raise SandboxError(f"REPORT={report} is a folder: name a file in it.")
    if report is not None and not os.access(report if report.exists() else report.resolve().parent, os.W_OK):
        raise SandboxError(f"REPORT={report} may not be written by you: name another file.")


def _demo(console: Console, *, data: Path | None, report: Path | None, seconds_setup: float) -> None:
    began = time.monotonic()
    sandbox = Sandbox(on_progress=lambda line: console.print(line, soft_wrap=True, markup=False, highlight=False))
    with sandbox:
        seconds_start = time.monotonic() - began
        state = sandbox.state
        if console.is_terminal:
            _print_login(console, sandbox)
        engine = create_engine(state.ops_db_url)
        topology = load_topology(state.topology)
        observations = _observe(console, data, source=Path(state.locations[SOURCE]))
        with Display(console) as display:
            journey = Journey(
                state=state, topology=topology, engine=engine, display=display, check=partial(_check_alive, sandbox)
            )
            seconds_pipeline = journey.make(observations)
        result = Report(
            seconds_setup=round(seconds_setup, 2),
            seconds_start=round(seconds_start, 2),
            seconds_pipeline=round(seconds_pipeline, 2),
            files=sum(len(observation.files) for observation in observations),
            bytes=sum(observation.size_bytes for observation in observations),
            stages=stage_figures(engine),
            copies=copy_figures(engine),
            archives=archive_figures(engine),
            staged=verify_staged(Path(state.locations[PROCESSING]), observations),
            locations=state.locations,
        )
        engine.dispose()
        _print_report(console, result)
        if report is not None:
            report.write_text(result.model_dump_json(indent=2) + "\n")
        if console.is_terminal:
            _stay_up(console, sandbox)


def _observe(console: Console, data: Path | None, *, source: Path) -> list[Observation]:
    if data is None:
        prime_cam = sample_originals("primecam")
        return [
            observe(source, instrument="primecam", module="mod280", originals=prime_cam),
            observe(source, instrument="primecam", module="mod350", originals=generated_originals()),
            observe(source, instrument="chai", module="lfa", originals=sample_originals("chai")),
        ]
    notices: list[str] = []
    originals = folder_originals(data, notice=notices)
    observation = observe(source, instrument="primecam", module="mod280", originals=originals)
    for notice in notices:
        console.print(notice, soft_wrap=True, markup=False, highlight=False)
    return [observation]


def _print_report(console: Console, report: Report) -> None:
    console.print(
        f"{report.files:,} files, {report.bytes / 1e6:,.1f} MB: set up in {report.seconds_setup:.1f} s, started in"
        f" {report.seconds_start:.1f} s, archived twice, staged and deleted in {report.seconds_pipeline:.1f} s.",
        soft_wrap=True,
    )
    stages = Table(title="What each stage did")
    for name in ("stage", "operations", "MB", "seconds of work"):
        stages.add_column(name, justify="left" if name == "stage" else "right")
    for kind, stage in report.stages.items():
        stages.add_row(kind, f"{stage.operations:,}", f"{stage.bytes / 1e6:,.1f}", f"{stage.seconds:.1f}")
    console.print(stages)
    places = Table(title="Where the copies are", caption="files at a source, packages elsewhere")
    for name in ("location", "present", "deleted", "verified"):
        places.add_column(name, justify="left" if name == "location" else "right")
    for full_name, copies in report.copies.items():
        archive = report.archives.get(full_name)
        verified = str(archive.verified) if archive else ""
        places.add_row(full_name, f"{copies.present:,}", f"{copies.deleted:,}", verified)
    console.print(places)
    back = f"{report.staged.verified:,} of {report.files:,} files came back to {PROCESSING}"
    console.print(f"{back}, equal to the originals.")


def _stay_up(console: Console, sandbox: Sandbox) -> None:
    console.print()
    _print_login(console, sandbox)
    console.print("Ctrl-C ends it.")
    with suppress(KeyboardInterrupt):  # the journey was made: to end here is no failure
        while True:
            _check_alive(sandbox)
            time.sleep(1)


def _print_login(console: Console, sandbox: Sandbox) -> None:
    admin = sandbox.state.user("admin")
    console.print(
        f"Airflow is at {sandbox.state.url} (user {admin.name}, password {admin.password}).",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def _check_alive(sandbox: Sandbox) -> None:
    if dead := sandbox.dead_processes():
        names = ", ".join(f"{name} (log: {daemon.command.log})" for name, daemon in dead.items())
        raise SandboxError(f"Ended unexpectedly: {names}.")
