"""The proof is worth something: whatever is taken away from the gate or from deletion, some history notices."""

import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import Engine, text

from include.lifecycle import copies, gate, lease_watch, overrides, package_lock, questions, removal
from include.lifecycle.copies import Copy
from include.lifecycle.gate import Allowed, NothingToDelete, Refused, allow_deletion
from include.ops_db.states import CopyStatus
from include.policy import Policy
from include.retention import RetentionRule
from include.stages import deletion
from include.storage.disk import DiskStorage
from tests.lifecycle.machine.judge import is_question
from tests.lifecycle.machine.run import court, run

HISTORIES = 1000
"""At most; the first hundred find most."""
QUESTIONS = (
    "is_it_an_archive",
    "is_it_archived",
    "was_everything_packaged",
    "was_it_checked_at_a_destination",
    "does_another_observation_claim_its_files",
    "is_the_grace_period_over",
    "is_its_time_over",
    "is_it_pinned",
    "does_a_staging_job_protect_it",
    "does_an_archive_still_need_it",
    "does_anything_read_it",
    "were_they_verified_lately",
)


def copies_are_not_counted(stack: ExitStack) -> None:
    """Two questions do it, the second with an eye on what a scrub would mend; each alone keeps what must stay."""
    for question in ("are_there_enough_copies", "were_they_verified_lately"):
        stack.enter_context(patch.object(questions, question, lambda _: None))


def no_lock(stack: ExitStack) -> None:
    unlocked = text(package_lock.LOCK_PACKAGE.text.replace("for no key update", ""))
    stack.enter_context(patch.object(package_lock, "LOCK_PACKAGE", unlocked))


def rows_for_sites(stack: ExitStack) -> None:
    stack.enter_context(patch.object(gate.Case, "are_enough", lambda case, copies: len(copies) >= case.copies_needed))


def sites_for_rows(stack: ExitStack) -> None:
    def are_enough(case: Any, copies: Any) -> bool:
        return len({copy.site for copy in copies}) >= case.sites_needed

    stack.enter_context(patch.object(gate.Case, "are_enough", are_enough))


def counts_also(**changes: object) -> Any:
    """An archive copy counts although it is not what it should be."""

    def mutation(stack: ExitStack) -> None:
        counts, since = Copy.counts_for, Copy.was_verified_since

        def counts_for(copy: Copy, package: Any) -> bool:
            return counts(_but(copy, package, changes), package)

        stack.enter_context(patch.object(Copy, "counts_for", counts_for))
        if "verified_at" in changes:
            stack.enter_context(
                patch.object(Copy, "was_verified_since", lambda copy, at: copy.verified_at is None or since(copy, at))
            )

    return mutation


def _but(copy: Copy, package: Any, changes: dict[str, object]) -> Copy:
    values = {"verified_at": copy.verified_at or package.archived_at, "checksum": package.checksum}
    return replace(copy, **{name: values.get(name, value) for name, value in changes.items()})


def one_person_is_enough(stack: ExitStack) -> None:
    alone = text(overrides.OVERRIDE_OF.text.replace("o.confirmed_at is not null", "true"))
    stack.enter_context(patch.object(overrides, "OVERRIDE_OF", alone))


def overrides_are_for_ever(stack: ExitStack) -> None:
    endless = text(overrides.OVERRIDE_OF.text.replace("o.expires_at > :now", ":now is not null"))
    stack.enter_context(patch.object(overrides, "OVERRIDE_OF", endless))


def rules_are_not_read(stack: ExitStack) -> None:
    def retention_at(policy: Policy, **_: object) -> Any:
        return policy._resolved(RetentionRule(), number=None)

    stack.enter_context(patch.object(Policy, "retention_at", retention_at))


def leases_are_not_watched(stack: ExitStack) -> None:
    stack.enter_context(patch.object(lease_watch.LeaseWatch, "__call__", lambda _: None))


def files_are_not_looked_at(stack: ExitStack) -> None:
    stack.enter_context(patch.object(removal, "_look_at", lambda *_, **__: removal._Sight()))


def folders_go_with_what_is_in_them(stack: ExitStack) -> None:
    def remove(storage: DiskStorage, path: str) -> None:
        shutil.rmtree((storage.root / path).parent)

    stack.enter_context(patch.object(DiskStorage, "_remove_empty_folders", remove))


def nothing_is_planned(stack: ExitStack) -> None:
    stack.enter_context(patch.object(deletion, "candidates", lambda *_, **__: []))


def what_had_begun_is_forgotten(stack: ExitStack) -> None:
    begun = CopyStatus.DELETION_IN_PROGRESS
    stack.enter_context(patch.object(gate, "EXAMINED", gate.EXAMINED - {begun}))
    stack.enter_context(patch.object(copies, "EXAMINED", copies.EXAMINED - {begun}))


MUTATIONS = (
    copies_are_not_counted,
    no_lock,
    rows_for_sites,
    sites_for_rows,
    one_person_is_enough,
    overrides_are_for_ever,
    rules_are_not_read,
    leases_are_not_watched,
    files_are_not_looked_at,
    folders_go_with_what_is_in_them,
    nothing_is_planned,
    what_had_begun_is_forgotten,
)
COPIES = {
    "never verified": {"verified_at": None},
    "corrupt": {"status": CopyStatus.PRESENT},
    "of other bytes": {"checksum": None},
}


def refuses_everything(session: Any, **about: Any) -> Allowed | Refused | NothingToDelete:
    answer = allow_deletion(session, **about)
    return Refused(reason="No.", package=answer.package) if isinstance(answer, Allowed) else answer


def sees_nothing(session: Any, **about: Any) -> Allowed | Refused | NothingToDelete:
    return NothingToDelete(reason="Nothing.")


def keeps_no_record(session: Any, **about: Any) -> Allowed | Refused | NothingToDelete:
    answer = allow_deletion(session, **about)
    session.execute(text("set local session_replication_role = replica"))
    session.execute(text("delete from deletion_record"))
    return answer


def goes_on_with_what_had_begun(session: Any, **about: Any) -> Allowed | Refused | NothingToDelete:
    answer = allow_deletion(session, **about)
    if isinstance(answer, Refused) and answer.begun:
        return Allowed(reason="It had begun.", package=answer.package, copies=answer.begun, deletion_record_id=0)
    return answer


GATES = (refuses_everything, sees_nothing, keeps_no_record, goes_on_with_what_had_begun)


def expect_notice(engine: Engine, root: Path, **options: Any) -> None:
    with court(engine, root, **options) as machine, pytest.raises(AssertionError) as noticed:
        run(machine, histories=HISTORIES, number=1, shrink=False)
    assert machine.judge.wrong or "still has" in str(noticed.value) or "not_ours" in str(noticed.value), noticed.value
    print(f"after {machine.judge.tally.histories} histories: {(machine.judge.wrong or [noticed.value])[0]}")  # noqa: T201


pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_that_is_not_asked_is_noticed(engine: Engine, tmp_path: Path, question: str):
    with patch.object(questions, question, lambda _: None):
        expect_notice(engine, tmp_path / "observatory")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_done_wrong_is_noticed(engine: Engine, tmp_path: Path, mutation: Any):
    with ExitStack() as stack:
        mutation(stack)
        expect_notice(engine, tmp_path / "observatory")


@pytest.mark.parametrize("bad", COPIES)
def test_a_copy_that_counts_and_should_not_is_noticed(engine: Engine, tmp_path: Path, bad: str):
    with ExitStack() as stack:
        counts_also(**COPIES[bad])(stack)
        expect_notice(engine, tmp_path / "observatory")


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_that_answers_wrong_is_noticed(engine: Engine, tmp_path: Path, gate: Any):
    expect_notice(engine, tmp_path / "observatory", gate=gate)


def test_no_question_is_left_out_here():
    assert {name for name, thing in vars(questions).items() if is_question(thing)} == {
        *QUESTIONS,
        "are_there_enough_copies",
    }
