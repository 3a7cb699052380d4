"""A plan waits a little for what falls due very soon."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.observatory import Observatory, now
from tests.operations.laboratory import Laboratory

SLOTS = 2  # cologne_archive's archiving has the default
LONG_AGO = now() - timedelta(days=2)


class TestPatience:
    """A plan waits a little for what falls due very soon."""

    @pytest.fixture
    def patient(self, engine, tmp_path) -> Laboratory:
        return Laboratory(Observatory.build(engine, tmp_path / "observatory", plan_patience_seconds=3))

    def timed(self, lab: Laboratory, **changes) -> tuple[list[list[int]], float]:
        started = time.monotonic()
        batches = lab.plan(**changes).batches
        return batches, time.monotonic() - started

    def test_what_falls_due_in_time_is_waited_for(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        due_at = now() + timedelta(seconds=1.5)
        patient.change(operation, not_before=due_at)
        assert self.timed(patient)[0] == [[operation]]
        assert now() >= due_at

    def test_what_falls_due_later_is_not(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        patient.change(operation, not_before=now() + timedelta(seconds=30))
        batches, seconds = self.timed(patient)
        assert batches == []
        assert seconds < 2.5

    def test_what_is_due_now_is_not_kept_waiting(self, patient: Laboratory) -> None:
        first, second = patient.operations(2)
        patient.change(second, not_before=now() + timedelta(seconds=2))
        batches, seconds = self.timed(patient)
        assert batches == [[first]]
        assert seconds < 1.9

    def test_a_full_lane_does_not_wait_for_what_was_due_long_ago(self, patient: Laboratory) -> None:
        # It did: until its patience and the age of the oldest not_before together were over.
        flying = patient.operations(2 * SLOTS)
        (operation,) = patient.operations(1)
        for batch, scheduled in enumerate(flying):
            patient.change(scheduled, status="scheduled", planned_run_id="r", planned_batch=batch, scheduled_at=now())
        patient.change(operation, not_before=LONG_AGO)
        batches, seconds = self.timed(patient, has_ended=lambda _: False)
        assert batches == []
        assert seconds < 2.5

    def test_a_locked_row_that_is_due_is_not_waited_for(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        patient.change(operation, not_before=LONG_AGO)
        with Session(patient.engine) as session:
            session.execute(text("select from operation for update"))
            batches, seconds = self.timed(patient)
        assert batches == []
        assert seconds < 2.5

    def test_a_dead_lane_does_not_wait(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        patient.change(operation, not_before=now() + timedelta(seconds=2))
        assert self.timed(patient, is_listened_to=lambda: False)[1] < 1.9

    def test_no_lock_is_held_while_it_waits(self, patient: Laboratory) -> None:
        (operation,) = patient.operations(1)
        patient.change(operation, not_before=now() + timedelta(seconds=2.5))
        with ThreadPoolExecutor(3) as pool:
            plans = list(pool.map(lambda _: patient.plan(has_ended=lambda _: False).batches, range(3)))
        assert sorted(plans) == [[], [], [[operation]]]
