"""What is to be said about an observation, a package or an operation, as sentences: where it is, why, what is next."""

from dataclasses import dataclass

from sqlalchemy import Connection

from include.explain.find import SubjectKind, find_package, observation_id_of, operation_id_of, subject_of
from include.explain.keeping import what_keeps
from include.explain.next_step import what_comes_next, where
from include.explain.observations import explain_observation
from include.explain.operations import explain_operation
from include.explain.packages import explain_package
from include.ops_db.urgency import why_urgent
from include.topology import Topology

PACKAGES_MOST = 20
"""An observation may have thousands."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """About one thing, in the order in which a person wants to know."""

    kind: SubjectKind
    title: str
    sentences: tuple[str, ...]


def told_about(connection: Connection, subject: str, *, topology: Topology) -> Told:
    """Return what `dts explain` says about a subject, without its tables.

    Raises:
        BadInputError: there is no such thing.
    """
    kind, word = subject_of(subject)
    if kind is SubjectKind.OPERATION:
        operation = explain_operation(connection, operation_id_of(word))
        title = f"Operation {operation.id}: {operation.kind} at {operation.location}, {operation.status}"
        return Told(kind=kind, title=title, sentences=(f"About {operation.subject}.", operation.explanation))
    if kind is SubjectKind.OBSERVATION:
        return _observation(connection, word, topology=topology)
    package = explain_package(connection, find_package(connection, word))
    urgent = why_urgent(connection, [package.id]) if package.live_operations or package.archived_at is None else ()
    return Told(
        kind=kind,
        title=f"Package {package.name}: {package.state}",
        sentences=(
            where(package),
            *what_comes_next(package, topology.policy),
            *(keeping.sentence for keeping in what_keeps(connection, package, topology)),
            *(f"It overtakes others: {reason}" for reason in urgent),
        ),
    )


def _observation(connection: Connection, word: str, *, topology: Topology) -> Told:
    observation = explain_observation(connection, observation_id_of(word))
    sentences = [observation.sentence, *(filing.explanation or filing.verdict for filing in observation.filings[-1:])]
    for package_id in observation.package_ids[:PACKAGES_MOST]:
        package = explain_package(connection, package_id)
        following = " ".join(what_comes_next(package, topology.policy))
        sentences.append(f"{package.name}: {package.state}. {where(package)} {following}")
    if len(observation.package_ids) > PACKAGES_MOST:
        sentences.append(f"… and {len(observation.package_ids) - PACKAGES_MOST} more packages.")
    return Told(kind=SubjectKind.OBSERVATION, title=f"Observation {observation.id}", sentences=tuple(sentences))
