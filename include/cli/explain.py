"""`dts explain`: where something is, why, and what comes next."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from include.cli import paper
from include.cli.place import applied_topology, ops_db
from include.explain.find import SubjectKind, find_package, observation_id_of, operation_id_of, subject_of
from include.explain.keeping import what_keeps
from include.explain.next_step import what_comes_next, where
from include.explain.observations import explain_observation
from include.explain.operations import Attempt, ExplainedOperation, explain_operation, packages_of
from include.explain.packages import Copies, ExplainedPackage, explain_package
from include.explain.routes import explain_route
from include.ops_db.urgency import packages_in, why_urgent
from include.plurals import counted
from include.topology import OperationKind, Topology

PACKAGES_IN_FULL = 20
"""An observation shows the sentences of this many packages; it may have thousands."""


def explain(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="OBSERVATION|PACKAGE|OPERATION",
            help="UUID of an observation; name of a package, or package:ID; number of an operation, or operation:ID.",
        ),
    ],
) -> None:
    """Say where an observation, a package or an operation is, why, and what comes next."""
    kind, word = subject_of(subject)
    with ops_db().connect() as connection:
        if kind is SubjectKind.OPERATION:
            _operation(connection, operation_id_of(word))
        elif kind is SubjectKind.OBSERVATION:
            _observation(connection, word)
        else:
            package = explain_package(connection, find_package(connection, word))
            _package(connection, package, topology=applied_topology(connection))


def _observation(connection: Connection, word: str) -> None:
    observation = explain_observation(connection, observation_id_of(word))
    paper.say(f"Observation {observation.id}", style="bold")
    if observation.instrument:
        ended = f" to {paper.moment(observation.finished_at)}" if observation.finished_at else ", still open"
        paper.say(
            f"{observation.instrument}, {paper.moment(observation.started_at)}{ended} (UTC);"
            f" {paper.size(observation.bytes)}"
        )
    paper.say(observation.sentence)
    _overtakes(connection, list(observation.package_ids))
    paper.heading("Filings")
    paper.table(
        ("received (UTC)", "from", "files", "state", "verdict"),
        [
            (paper.moment(f.received_at), f.received_from, f.file_count, f.state, f.explanation or f.verdict)
            for f in observation.filings
        ],
        numbers=("files",),
    )
    if not observation.package_ids:
        return
    policy = applied_topology(connection).policy
    paper.heading(f"{counted(len(observation.package_ids), 'package')}")
    for package_id in observation.package_ids[:PACKAGES_IN_FULL]:
        package = explain_package(connection, package_id)
        paper.say(f"{package.name}: {package.state}. {where(package)}")
        for sentence in what_comes_next(package, policy):
            paper.say(f"  {sentence}")
    if len(observation.package_ids) > PACKAGES_IN_FULL:
        paper.say(f"… and {len(observation.package_ids) - PACKAGES_IN_FULL} more.")
    paper.say("What keeps a package where it is: `dts explain PACKAGE`.")


def _package(connection: Connection, package: ExplainedPackage, *, topology: Topology) -> None:
    paper.say(f"Package {package.name}: {package.state}", style="bold")
    paper.say(
        f"Number {package.number} of observation {package.observation}, {package.instrument} {package.module};"
        f" {counted(package.file_count, 'file')}, {paper.size(package.size_bytes or package.content_bytes)}."
    )
    paper.say(where(package))
    for sentence in what_comes_next(package, topology.policy):
        paper.say(sentence)
    for keeping in what_keeps(connection, package, topology):
        paper.say(keeping.sentence)
    if package.live_operations or package.archived_at is None:
        _overtakes(connection, [package.id])
    for wish in package.wishes:
        paper.say(
            f"{wish.requested_by} wants it at {wish.location} until {paper.moment(wish.until)} UTC."
            f" {wish.reason}".rstrip()
            + f" (`dts staging show {wish.id}`)"
        )
    paper.heading("Copies")
    paper.table(
        ("location", "state", "size", "last verified (UTC)", "path"),
        [
            (copies.location, copies.status, paper.size(copies.size_bytes), _verified(copies), _path(copies))
            for copies in package.copies
        ],
        numbers=("size",),
    )
    if package.live_operations:
        paper.heading("To be done")
        for operation in package.live_operations:
            _live(operation)
            _route(connection, operation, indent="  ")
    _done([operation for operation in package.operations if not operation.is_live])


def _verified(copies: Copies) -> str:
    if not copies.is_there:
        return f"deleted {paper.moment(copies.deleted_at)}" if copies.deleted_at else ""
    if copies.verified_at is None:
        return "never there"
    some = "" if copies.verified_count == copies.count else f" ({copies.verified_count} of {copies.count})"
    return f"{paper.moment(copies.verified_at)}{some}"


def _path(copies: Copies) -> str:
    return copies.path if copies.count == 1 else f"{copies.count} files, {copies.path} the first"


def _live(operation: ExplainedOperation) -> None:
    paper.say(f"{operation.kind} at {operation.location}: operation {operation.id}, {operation.status}", style="bold")
    paper.say(f"  {operation.explanation}")
    if operation.not_before:
        paper.say(f"  Not before {paper.moment(operation.not_before)} UTC.")
    for attempt in operation.attempts:
        paper.say(f"  {_of_attempt(attempt)}")


def _done(operations: list[ExplainedOperation]) -> None:
    if not operations:
        return
    paper.heading("Done")
    paper.table(
        ("operation", "what", "where", "state", "finished (UTC)", "said"),
        [
            (each.id, each.kind, each.location, each.status, paper.moment(each.finished_at), each.explanation)
            for each in operations
        ],
        numbers=("operation",),
    )


def _operation(connection: Connection, operation_id: int) -> None:
    operation = explain_operation(connection, operation_id)
    paper.say(f"Operation {operation.id}: {operation.kind} at {operation.location}, {operation.status}", style="bold")
    paper.say(
        f"About {operation.subject}; planned {paper.moment(operation.created_at)} UTC,"
        f" {paper.size(operation.size_bytes)}."
    )
    if names := packages_of(connection, operation):
        paper.say(f"Packages: {', '.join(names)}{' …' if len(names) == PACKAGES_IN_FULL else ''}")
    paper.say(operation.explanation)
    if operation.is_live:
        _overtakes(connection, _package_ids(connection, operation))
    if operation.not_before:
        paper.say(f"Not before {paper.moment(operation.not_before)} UTC.")
    _route(connection, operation)
    if operation.lease_owner:
        paper.say(
            f"{operation.lease_owner} has it until {paper.moment(operation.lease_expires_at)} UTC,"
            " renewed while it lives."
        )
    if operation.attempts:
        paper.heading(counted(operation.attempt_count, "attempt"))
        for attempt in operation.attempts:
            paper.say(_of_attempt(attempt))


def _package_ids(connection: Connection, operation: ExplainedOperation) -> list[int]:
    if operation.raw_data_package_id is not None:
        return [operation.raw_data_package_id]
    return packages_in(connection, bundle=operation.data_transfer_package_id, transfer=operation.data_transfer_id)


def _overtakes(connection: Connection, package_ids: list[int]) -> None:
    """Say why it goes before others, if it does."""
    if reasons := why_urgent(connection, package_ids):
        said = f"It overtakes others: {'; '.join(reasons)}"
        paper.say(said if said.endswith((".", "!", "?")) else f"{said}.")


def _route(connection: Connection, operation: ExplainedOperation, *, indent: str = "") -> None:
    """Say how fast bytes go from one place to another, and why."""
    if operation.kind not in (OperationKind.TRANSFER, OperationKind.ARCHIVING) or not operation.is_live:
        return
    route = explain_route(connection, operation_id=operation.id, data_transfer_id=operation.data_transfer_id)
    if route is None:
        return
    paper.say(f"{indent}{route.sentence}")
    for decision in route.decisions:
        paper.say(f"{indent}  {paper.moment(decision.decided_at)} UTC: {decision.why}")


def _of_attempt(attempt: Attempt) -> str:
    """Say one attempt in a line."""
    began = f"attempt {attempt.number}, {paper.moment(attempt.started_at)} UTC"
    if attempt.person:
        return f"{began}: reset by {attempt.person}. {attempt.explanation or ''}".rstrip()
    by = f"{began}, on {attempt.host} (pid {attempt.pid}; {attempt.task}, try {attempt.try_number})"
    if attempt.outcome is None:
        return f"{by}: it runs."
    took = (
        f" after {paper.age((attempt.finished_at - attempt.started_at).total_seconds())}" if attempt.finished_at else ""
    )
    text = f"{attempt.error_class}: {attempt.error_text}" if attempt.error_class else attempt.explanation or ""
    return f"{by}: {attempt.outcome}{took}. {text}".rstrip()
