"""The judge: compares each answer of the gate with the truth, and stands at each file that is about to go."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import text

from include.lifecycle import questions
from include.lifecycle.gate import Allowed, NothingToDelete, Refused, allow_deletion
from include.stages import deletion
from include.transfer.compressed_twin import twin_path
from tests.lifecycle.archived import Archived
from tests.lifecycle.machine.tally import Tally
from tests.lifecycle.machine.truth import Truth, truth_of
from tests.lifecycle.machine.workers import Workers
from tests.lifecycle.machine.world import ARCHIVES, BUFFERS, DELETABLE, World

Gate = Callable[..., Allowed | Refused | NothingToDelete]

AT_A_FILE = text(
    """
    select exists (select from operation o where o.id = :operation and o.status = 'in_progress'
        and o.lease_token = :token) as lease_held,
      exists (select from deletion_record r join data_location l on l.id = r.data_location_id
        where r.raw_data_package_id = :package and l.full_name = :place) as on_record,
      exists (select from physical_copy c join data_location l on l.id = c.data_location_id
        where c.raw_data_package_id = :package and l.full_name = :place and l.location_type = 'processing'
          and c.verified_at is null) as half_staged
    """
)


class Judge:
    """Writes what is wrong into the tally."""

    def __init__(self, world: World, workers: Workers, tally: Tally, *, gate: Gate = allow_deletion) -> None:
        self._world, self._workers, self.tally, self._gate = world, workers, tally, gate
        self.unfinished: set[int] = set()
        """Packages about which another transaction has written something and not committed yet."""
        self.wrong: list[str] = []
        """In this history, in words."""
        self._objected = ""

    @contextmanager
    def sitting(self) -> Iterator[None]:
        """Be asked about everything."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(deletion, "allow_deletion", self._watched_gate))
            for name, question in list(vars(questions).items()):
                if is_question(question):
                    stack.enter_context(patch.object(questions, name, self._watched_question(name, question)))
            yield

    def truth(self, package: int, connection: Any = None) -> Truth:
        """Read the truth, in a transaction of its own if in no other."""
        about = {"topology": self._world.observatory.topology, "policy": self._world.policy}
        if connection is not None:
            return truth_of(connection, package, **about)
        with self._world.engine.connect() as own:
            return truth_of(own, package, **about)

    def wrong_deletion(self, what: str) -> None:
        # Raising would not do: the batch runner has a place for every error.
        self.tally.wrong_deletions += 1
        self.wrong.append(what)

    def wrong_refusal(self, what: str) -> None:
        self.tally.wrong_refusals += 1
        self.wrong.append(what)

    def before_deletion(self, place: str, path: str) -> None:
        """Somebody is about to delete a file."""
        if place in BUFFERS and path in {twin_path(each.path) for each in self._world.packages}:
            return  # made from what lies beside it, and worth nothing without
        self.tally.files_deleted += 1
        where = f"{path} at {place}"
        package = next((each for each in self._world.packages if path in self._world.files_of(each, place)), None)
        if package is None:
            self.wrong_deletion(f"{where} goes, and is not in the catalogue")
            return
        if place not in DELETABLE:
            self.wrong_deletion(f"{where} goes from an archive")
            return
        worker = self._workers.work[-1].lease
        about = {"operation": worker.operation_id, "token": worker.token, "package": package.id, "place": place}
        with self._world.engine.connect() as connection:
            seen = connection.execute(AT_A_FILE, about).one()
        if not seen.on_record:
            self.wrong_deletion(f"{where} goes without a record")
        if not seen.lease_held:
            self.wrong_deletion(f"{where} goes by the hand of somebody who has lost his lease")
        if not any(self._world.is_good(package, archive) for archive in ARCHIVES):
            self.wrong_deletion(f"{where} goes while no archive has its bytes")
        if not self._workers.was_disturbed and not self._workers.was_looked_at:
            self._workers.was_looked_at = True
            if why := self.truth(package.id).why_it_stays(place):
                self.wrong_deletion(f"{where} goes, and should stay: {sorted(why)}")
        if not seen.half_staged and not self._is_as_filed(package, place, path):
            self.wrong_deletion(f"{where} goes, and is not what was archived")

    def _watched_gate(self, session: Any, **about: Any) -> Allowed | Refused | NothingToDelete:
        self._objected = ""
        answer = self._gate(session, **about)
        self._workers.was_disturbed = self._workers.was_looked_at = False
        place, package = about["location"].full_name, about["raw_data_package_id"]
        session.flush()
        truth = self.truth(package, session)
        why = truth.why_it_stays(place)
        told = f"{truth.package['name']} at {place} under policy {self._world.policy!r}"
        if isinstance(answer, Allowed):
            self.tally.allowed += 1
            if why:
                self.wrong_deletion(f"{told} may go, says the gate, and must not: {sorted(why)}")
            if package in self.unfinished:
                self.wrong_deletion(
                    f"{told} may go, says the gate, and has not waited for a change of it that was under way"
                )
        elif isinstance(answer, Refused):
            self.tally.refused[self._objected] += 1
            if not why:
                self.wrong_refusal(f"{told} must stay, says the gate, and is free: {answer.reason}")
        elif truth.is_there(place):
            self.wrong_refusal(f"{told} is there, and the gate sees nothing of it")
        self._let_others_in(session, package)
        return answer

    def _let_others_in(self, session: Any, package: int) -> None:
        happens, self._workers.in_the_gate = self._workers.in_the_gate, None
        if happens is None:
            return
        if not self._workers.start_rival(happens):
            self.wrong_deletion(f"package {package} was changed by somebody while the gate had it")

    def _watched_question(self, name: str, question: Callable[..., str | None]) -> Callable[..., str | None]:
        def ask(case: Any) -> str | None:
            objection = question(case)
            if objection is not None:
                self._objected = name
            return objection

        return ask

    def _is_as_filed(self, package: Archived, place: str, path: str) -> bool:
        file = self._world.folder(place) / path
        return not file.exists() or file.read_bytes() == self._world.files_of(package, place)[path]


def is_question(thing: Any) -> bool:
    if not inspect.isfunction(thing) or thing.__module__ != questions.__name__ or thing.__name__.startswith("_"):
        return False
    return list(inspect.signature(thing).parameters) == ["case"] and thing.__annotations__["return"] == str | None
