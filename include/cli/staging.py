"""`dts staging`: StagingJobs, how far they are; extend them, release them."""

from typing import Annotated

import typer
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from include.cli import paper
from include.cli.person import By, asking
from include.cli.place import ops_db
from include.cli.retry import this_person
from include.cli.stage import AsJson, Reason, Until
from include.explain.staging import (
    ExplainedJob,
    StagingHistory,
    StagingPackage,
    explain_job,
    history_of_job,
    newest_jobs,
    packages_of_job,
)
from include.lifecycle.staging_jobs import extend_staging, release_staging
from include.ops_db.states import WorkStatus
from include.sizes import size

PACKAGES_SHOWN = 50
"""A job may have thousands; those that are not there come first, and JSON has them all."""

JobId = Annotated[int, typer.Argument(metavar="ID", help="Number of a StagingJob.")]

app = typer.Typer(no_args_is_help=True, help="StagingJobs: show, extend, release. `dts stage` makes one.")


@app.command("list")
def list_jobs(
    *,
    mine: Annotated[bool, typer.Option("--mine", help="Only those of the account that types, or of --by.")] = False,
    ended_too: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="The newest so many.")] = 100,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """List the active StagingJobs, newest first."""
    person = (by or this_person()) if mine else by
    with ops_db().connect() as connection:
        jobs = sorted(
            newest_jobs(connection, person=person, ended_too=ended_too, most=most), key=lambda job: job.id, reverse=True
        )
    if as_json:
        paper.as_json(jobs)
        return
    if not jobs:
        paper.say("No StagingJob." if ended_too else "No active StagingJob; --all shows those that are over.")
        return
    paper.table(
        ("job", "owner", "location", "until (UTC)", "state", "there", "reason"),
        [
            (
                job.id,
                job.requested_by,
                job.location,
                f"{job.until:%Y-%m-%d %H:%M}",
                job.status,
                f"{job.packages_done}/{job.packages}",
                job.reason,
            )
            for job in jobs
        ],
        numbers=("job", "there"),
    )


@app.command("show")
def show(job_id: JobId, *, as_json: AsJson = False) -> None:
    """Say how far a StagingJob is, what is missing and why, and who did what to it."""
    with ops_db().connect() as connection:
        job = explain_job(connection, job_id)
        packages = packages_of_job(connection, job)
        history = history_of_job(connection, job_id)
    if as_json:
        paper.as_json({"job": job, "packages": packages, "history": history})
        return
    paper.say(f"StagingJob {job.id}: {job.status}", style="bold")
    paper.say(f"{job.requested_by} wants it at {job.location} until {paper.moment(job.until)} UTC.")
    if job.reason:
        paper.say(job.reason)
    paper.say(job.sentence)
    paper.heading("Packages")
    missing_first = sorted(packages, key=lambda package: package.status is WorkStatus.COMPLETED)
    paper.table(
        ("package", "state", "files", "size", "why"),
        [(each.name, each.status, each.file_count, _bytes(each), each.why) for each in missing_first][:PACKAGES_SHOWN],
        numbers=("files", "size"),
    )
    if len(packages) > PACKAGES_SHOWN:
        paper.say(f"… and {len(packages) - PACKAGES_SHOWN} more: --json has them all.")
    paper.heading("History")
    for event in history:
        paper.say(_of_event(event))


@app.command("extend")
def extend(job_id: JobId, *, until: Until, reason: Reason = "", by: By = None, as_json: AsJson = False) -> None:
    """Have a StagingJob end later. Its owner may, and operators (the topology names them)."""
    engine = ops_db()
    with Session(engine) as session, session.begin():
        extend_staging(session, job_id=job_id, until=until, asking=asking(by, reason=reason))
    _say_what_it_is_now(engine, job_id, f"StagingJob {job_id} is extended until {paper.moment(until)} UTC.", as_json)


@app.command("release")
def release(job_id: JobId, *, reason: Reason = "", by: By = None, as_json: AsJson = False) -> None:
    """Have a StagingJob end now: what no other job protects may be deleted. Its owner may, and operators."""
    engine = ops_db()
    with Session(engine) as session, session.begin():
        release_staging(session, job_id=job_id, asking=asking(by, reason=reason))
    _say_what_it_is_now(
        engine, job_id, f"StagingJob {job_id} is released: what no other job protects may be deleted.", as_json
    )


def _say_what_it_is_now(engine: Engine, job_id: int, sentence: str, as_json: bool) -> None:
    if not as_json:
        paper.say(sentence)
        return
    with engine.connect() as connection:
        job: ExplainedJob = explain_job(connection, job_id)
    paper.as_json(job)


def _bytes(package: StagingPackage) -> str:
    whole = size(package.size_bytes)
    is_partly_there = package.status is WorkStatus.IN_PROGRESS and package.size_bytes_done
    return f"{size(package.size_bytes_done)} of {whole}" if is_partly_there else whole


def _of_event(event: StagingHistory) -> str:
    by = f"{event.person or 'its date'} ({event.asked_through})" if event.asked_through else event.person or "its date"
    until = f", until {paper.moment(event.until)}" if event.event in {"requested", "extended"} else ""
    reason = f": {event.reason}" if event.reason else ""
    return f"{paper.moment(event.recorded_at)} UTC, {event.event} by {by}{until}{reason}"
