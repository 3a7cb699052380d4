"""`dts brake`: questions of the brake on deletion, and their answers."""

from typing import Annotated

import typer

from include.cli import paper
from include.cli.person import By
from include.cli.place import ops_db
from include.cli.retry import this_person
from include.cli.stage import AsJson
from include.errors import BadInputError
from include.lifecycle import brake_answers
from include.lifecycle.brake_answers import Question, asked_packages, question, questions
from include.ops_db.states import BrakeAnswer
from include.sizes import size

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, max=2**63 - 1, help="As `dts brake list` shows it.")]
Why = Annotated[str, typer.Option("--reason", help="For whoever wonders later.")]

app = typer.Typer(
    no_args_is_help=True,
    help="What would delete too much of a location at once waits for a yes or no, here or in Airflow.",
)


@app.command("list")
def list_questions(
    *,
    answered_too: Annotated[bool, typer.Option("--all", help="Also those that were answered.")] = False,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the questions that wait for an answer, newest first."""
    with ops_db().connect() as connection:
        found = questions(connection, answered_too=answered_too, most=most)
    if as_json:
        paper.as_json(found)
        return
    if not found:
        paper.say("No question." if answered_too else "No question waits; --all shows those that were answered.")
        return
    paper.table(
        ("question", "location", "asked (UTC)", "packages", "size", "answer", "by"),
        [
            (
                each.id,
                each.location,
                paper.moment(each.asked_at),
                each.package_count,
                size(each.size_bytes),
                *_said(each),
            )
            for each in found
        ],
        numbers=("question", "packages", "size"),
    )


def _said(asked: Question) -> tuple[str, str]:
    if asked.answer is None:
        return "waits", ""
    return f"{asked.answer}{', lifted' if asked.lifted_at else ''}", asked.answered_by or ""


@app.command("show")
def show(number: Number, *, as_json: AsJson = False) -> None:
    """Show a question with all packages that it is about, the largest first."""
    with ops_db().connect() as connection:
        asked = question(connection, number)
        packages = asked_packages(connection, number)
    if as_json:
        paper.as_json({"question": asked, "packages": packages})
        return
    paper.say(f"Question {asked.id}: may this go from {asked.location}?", style="bold")
    paper.say(asked.why)
    by = f"{asked.requested_by}, run {asked.run_id}" if asked.run_id else asked.requested_by
    paper.say(
        f"Asked {paper.moment(asked.asked_at)} UTC for {by}, under policy version {asked.topology_version_id}."
        f" {asked.sentence}"
    )
    if asked.reason:
        paper.say(f"Reason: {asked.reason}")
    paper.heading("Packages")
    paper.table(
        ("package", "copies", "size", "archived (UTC)"),
        [(each.name, each.copy_count, size(each.size_bytes), paper.moment(each.archived_at)) for each in packages],
        numbers=("copies", "size"),
    )


@app.command("approve")
def approve(number: Number, *, reason: Why = "", by: By = None) -> None:
    """Say yes: exactly this list may go; the gate still asks its questions."""
    _answer(number, BrakeAnswer.APPROVED, reason=reason, by=by)


@app.command("refuse")
def refuse(number: Number, *, reason: Why, by: By = None) -> None:
    """Say no: these packages stay at that location until policy changes or somebody lifts the refusal."""
    if not reason.strip():
        raise BadInputError("Say why, in a few words: whoever needs the room will ask.")
    _answer(number, BrakeAnswer.REFUSED, reason=reason, by=by)


def _answer(number: int, said: BrakeAnswer, *, reason: str, by: str | None) -> None:
    with ops_db().begin() as connection:
        asked = brake_answers.answer(connection, number, said, person=by or this_person(), reason=reason)
    comes = (
        f"the next plan of deletion at {asked.location} takes it up."
        if said is BrakeAnswer.APPROVED
        else f"it stays until policy changes, or `dts brake lift {number}`."
    )
    paper.say(f"{asked.sentence} {asked.package_count} packages with {size(asked.size_bytes)}: {comes}")


@app.command("lift")
def lift(number: Number, *, reason: Why, by: By = None) -> None:
    """Forget a refusal: the same packages may be asked about again."""
    with ops_db().begin() as connection:
        asked = brake_answers.lift(connection, number, person=by or this_person(), reason=reason)
    paper.say(f"{asked.sentence} The next plan of deletion at {asked.location} may ask again.")
