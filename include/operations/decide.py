"""What becomes of an operation after an attempt that did not complete: a pure decision, with a sentence why."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from include.errors import IntegrityError, PermanentError, TransientError, WaitingError
from include.ops_db.states import AttemptOutcome, WorkStatus
from include.topology import Policy

LONGEST_PAUSE_SECONDS = 3600.0
SLOW_PAUSE_SECONDS = 6 * 3600.0
"""Pause between tries once the budget is spent: nothing is given up, but a person has been called."""

LONGEST_SENTENCE = 1000
"""Characters of an error's message in an explanation; the attempt keeps more of it."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The next state of an operation."""

    status: WorkStatus
    outcome: AttemptOutcome
    not_before: datetime | None
    counts_as_failure: bool
    explanation: str

    @property
    def calls_a_person(self) -> bool:
        """True if the task should be red in the UI."""
        return self.status is WorkStatus.FAILED


def after_error(error: Exception, *, failure_count: int, policy: Policy, now: datetime, jitter: float) -> Decision:
    """Decide what follows `error`.

    Args:
        error: what the attempt raised.
        failure_count: transient failures in a row before this one.
        policy: budgets and pauses.
        now: UTC.
        jitter: 0 to 1; spreads the pauses between half and the whole of their length.
    """
    text = sentence(error)
    if isinstance(error, WaitingError):
        not_before = now + timedelta(seconds=policy.waiting_seconds)
        return Decision(
            status=WorkStatus.PENDING,
            outcome=AttemptOutcome.WAITING,
            not_before=not_before,
            counts_as_failure=False,
            explanation=f"It waits: {text} It looks again at {clock(not_before)}.",
        )
    if isinstance(error, IntegrityError | PermanentError):
        outcome = AttemptOutcome.INTEGRITY if isinstance(error, IntegrityError) else AttemptOutcome.PERMANENT
        return _failed(outcome, text)
    if not isinstance(error, TransientError):
        # Not one of ours: a bug, or what nobody thought of. It may pass, so it has the budget of a transient error.
        text = f"{type(error).__name__}: {text}"
    return _transient(text, failure_count=failure_count, policy=policy, now=now, jitter=jitter)


def _failed(outcome: AttemptOutcome, text: str) -> Decision:
    return Decision(
        status=WorkStatus.FAILED,
        outcome=outcome,
        not_before=None,
        counts_as_failure=True,
        explanation=f"It failed and waits for a person: {text} Mend that, then `dts retry` it or clear its task.",
    )


def _transient(text: str, *, failure_count: int, policy: Policy, now: datetime, jitter: float) -> Decision:
    tried = failure_count + 1
    if tried >= policy.attempts_max:
        not_before = now + timedelta(seconds=SLOW_PAUSE_SECONDS)
        return Decision(
            status=WorkStatus.FAILED,
            outcome=AttemptOutcome.TRANSIENT,
            not_before=not_before,
            counts_as_failure=True,
            explanation=f"It failed {tried} times in a row, the last time with: {text}"
            f" A person should look; it is tried again slowly, next at {clock(not_before)}.",
        )
    pause = min(policy.retry_seconds * 2 ** min(failure_count, 30), LONGEST_PAUSE_SECONDS) * (0.5 + 0.5 * jitter)
    not_before = now + timedelta(seconds=pause)
    return Decision(
        status=WorkStatus.PENDING,
        outcome=AttemptOutcome.TRANSIENT,
        not_before=not_before,
        counts_as_failure=True,
        explanation=f"Try {tried} of {policy.attempts_max} met a passing trouble: {text}"
        f" It is tried again at {clock(not_before)}.",
    )


def sentence(error: BaseException) -> str:
    """Return the error's message as one sentence with a full stop, cut where it goes on for ever."""
    text = " ".join(storable(str(error)).split()) or type(error).__name__
    if len(text) > LONGEST_SENTENCE:
        text = f"{text[:LONGEST_SENTENCE]}…"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def storable(text: str) -> str:
    r"""Return `text` as PostgreSQL can keep it: a NUL, or a byte of a file name that is not UTF-8, becomes `\\x..`."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def clock(moment: datetime) -> str:
    """Return date and time for a sentence, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
