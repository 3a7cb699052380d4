"""What people say to the brake's questions: whoever answers first wins, in the UI or on the command line."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from include.errors import BadInputError
from include.ops_db.states import BrakeAnswer
from include.plurals import counted
from include.sizes import size

QUESTIONS = text(
    """
    select b.id, l.full_name as location, b.asked_at, b.requested_by, b.run_id, b.topology_version_id, b.package_count,
      b.copy_count, b.size_bytes, b.location_bytes, b.why, b.question_run_id, b.answer, b.answered_at, b.answered_by,
      b.reason, b.lifted_at, b.lifted_by, b.lift_reason
    from deletion_brake b join data_location l on l.id = b.data_location_id
    where (cast(:brake as bigint) is null or b.id = :brake) and (:all or b.answer is null or b.id = :brake)
    order by b.id desc limit :most
    """
)

LARGEST = text(
    """
    select p.name, m.copy_count, m.size_bytes, p.archived_at from deletion_brake_package m
    join raw_data_package p on p.id = m.raw_data_package_id
    where m.deletion_brake_id = :brake order by m.size_bytes desc, p.name limit :most
    """
)

ANSWER = text(
    """
    update deletion_brake set answer = :answer, answered_at = now(), answered_by = :person, reason = :reason
    where id = :brake and answer is null
    """
)

LIFT = text(
    """
    update deletion_brake set lifted_at = now(), lifted_by = :person, lift_reason = :reason
    where id = :brake and answer = 'refused' and lifted_at is null
    """
)

# Asked in a run that has ended without an answer (cleared, failed, deleted), it is asked again.
SHOW = text(
    """
    update deletion_brake set question_run_id = :run_id
    where answer is null and (question_run_id is null or question_run_id = :run_id or question_run_id = any(:ended))
    returning id
    """
)

SHOWN_BY = text("select distinct question_run_id from deletion_brake where answer is null")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question of the brake, and what was said."""

    id: int
    location: str
    asked_at: datetime
    requested_by: str
    run_id: str | None
    topology_version_id: int
    package_count: int
    copy_count: int
    size_bytes: int
    location_bytes: int | None
    why: str
    question_run_id: str | None
    answer: BrakeAnswer | None
    answered_at: datetime | None
    answered_by: str | None
    reason: str | None
    lifted_at: datetime | None
    lifted_by: str | None
    lift_reason: str | None

    @property
    def sentence(self) -> str:
        """Say where it stands."""
        if self.answer is None:
            return (
                f"It waits for a person: `dts brake approve {self.id}` or `dts brake refuse {self.id}`, or in Airflow."
            )
        said = f"It was {self.answer} by {self.answered_by} at {self.answered_at:%Y-%m-%d %H:%M:%S} UTC."
        lifted = f" {self.lifted_by} lifted that at {self.lifted_at:%Y-%m-%d %H:%M:%S} UTC." if self.lifted_at else ""
        return f"{said}{lifted}"


@dataclass(frozen=True, kw_only=True)
class AskedPackage:
    """A package that a question is about, as it was when it was asked."""

    name: str
    copy_count: int
    size_bytes: int
    archived_at: datetime | None


def questions(connection: Connection, *, answered_too: bool = False, most: int = 100) -> list[Question]:
    """Return questions, newest first."""
    return _questions(connection, brake=None, all_of_them=answered_too, most=most)


def question(connection: Connection, brake: int) -> Question:
    """Return one question.

    Raises:
        BadInputError: there is none of this number.
    """
    found = _questions(connection, brake=brake, all_of_them=True, most=1)
    if not found:
        raise BadInputError(f"There is no question {brake} of the brake: `dts brake list --all` shows all.")
    return found[0]


def _questions(connection: Connection, *, brake: int | None, all_of_them: bool, most: int) -> list[Question]:
    rows = connection.execute(QUESTIONS, {"brake": brake, "all": all_of_them, "most": most}).mappings()
    return [Question(**(dict(row) | {"answer": BrakeAnswer(row["answer"]) if row["answer"] else None})) for row in rows]


def asked_packages(connection: Connection, brake: int, *, most: int | None = None) -> list[AskedPackage]:
    """Return the packages that a question is about, the largest first; all of them by default."""
    rows = connection.execute(LARGEST, {"brake": brake, "most": most}).mappings()
    return [AskedPackage(**row) for row in rows]


def answer(connection: Connection, brake: int, said: BrakeAnswer, *, person: str, reason: str) -> Question:
    """Answer a question, for good.

    Raises:
        BadInputError: there is none of this number, or somebody has answered it already; nothing changed.
    """
    values = {"brake": brake, "answer": said, "person": person, "reason": reason}
    if connection.execute(ANSWER, values).rowcount != 1:
        asked = question(connection, brake)
        raise BadInputError(f"Question {brake} about {asked.location} is answered already. {asked.sentence}")
    return question(connection, brake)


def lift(connection: Connection, brake: int, *, person: str, reason: str) -> Question:
    """Forget a refusal: the same packages may be asked about again.

    Raises:
        BadInputError: there is none of this number, or it is not refused, or lifted already.
    """
    if connection.execute(LIFT, {"brake": brake, "person": person, "reason": reason}).rowcount != 1:
        asked = question(connection, brake)
        raise BadInputError(f"Only a refusal that stands can be lifted. {asked.sentence}")
    return question(connection, brake)


def runs_that_ask(connection: Connection) -> list[str]:
    """Return the Airflow runs that should show a question now."""
    return [run_id for run_id in connection.execute(SHOWN_BY).scalars() if run_id is not None]


def take_unasked(connection: Connection, *, run_id: str, ended: Collection[str]) -> list[int]:
    """Return the questions that this Airflow run is to show, from now on; `ended` are runs that show none any more."""
    return sorted(connection.execute(SHOW, {"run_id": run_id, "ended": list(ended)}).scalars())


def in_markdown(asked: Question, largest: Sequence[AskedPackage]) -> str:
    """Return what a person needs to decide, for Airflow's page."""
    rows = [
        f"| {package.name} | {package.copy_count} | {size(package.size_bytes)} | {package.archived_at:%Y-%m-%d} |"
        if package.archived_at
        else f"| {package.name} | {package.copy_count} | {size(package.size_bytes)} | |"
        for package in largest
    ]
    more = asked.package_count - len(largest)
    return f"""**{asked.why}**

{counted(asked.copy_count, "copy")} with {size(asked.size_bytes)} would go from **{asked.location}**, asked for by
{asked.requested_by}. Policy is version {asked.topology_version_id}.

*Approve*: exactly this list goes on, and the deletion gate still asks its questions of each package.
*Reject*: these packages stay at this location, and nobody is asked about them again until policy changes or somebody
types `dts brake lift {asked.id}`. Until then nothing of this list is deleted; everything else goes on.

| largest packages | copies | size | archived |
|---|---:|---:|---|
{chr(10).join(rows)}

{f"And {more:,} more. " if more > 0 else ""}The whole list is in this task's log and in `dts brake show {asked.id}`.
It can be answered there (`dts brake approve {asked.id}`, `dts brake refuse {asked.id}`): the first answer counts.
"""
