"""An ops-db as after weeks of work, with every kind of trouble: rows only, no bytes, so it is quick to make."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, Engine, text

GB = 10**9
SPACE = UUID("6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69")
CHECKSUM = "xxh3-128:0123456789abcdef0123456789abcdef"


@dataclass
class Seeds:
    """Writes rows; each method returns the new row's id."""

    connection: Connection

    def __post_init__(self) -> None:
        self.now = self.connection.execute(text("select now()")).scalar_one().astimezone(UTC)
        rows = self.connection.execute(text("select full_name, id from data_location"))
        self.places: dict[str, int] = {row.full_name: row.id for row in rows}
        self.topology = self.connection.execute(text("select max(id) from topology_version")).scalar_one()

    def insert(self, table: str, **values: Any) -> Any:
        names = ", ".join(values)
        marks = ", ".join(
            f"cast(:{name} as jsonb)" if name in {"conf", "evidence", "unreached"} else f":{name}" for name in values
        )
        returning = " returning id" if table not in NO_ID else ""
        made = self.connection.execute(text(f"insert into {table} ({names}) values ({marks}){returning}"), values)
        return made.scalar_one() if returning else None

    def ago(self, **time: float) -> datetime:
        return self.now - timedelta(**time)

    def observation(self, number: int, *, instrument: str = "primecam", days: float = 0.0, **more: Any) -> UUID:
        observation = uuid5(SPACE, str(number))
        which = self.connection.execute(
            text("select id from instrument where name = :name"), {"name": instrument}
        ).scalar_one()
        self.connection.execute(
            text(
                "insert into executed_obs_unit (id, instrument_id, started_at, finished_at, flagged_at, flagged_by,"
                " flag_reason) values (:id, :instrument, :started, :finished, :flagged, :by, :why)"
            ),
            {
                "id": observation,
                "instrument": which,
                "started": self.ago(days=days, hours=1),
                "finished": self.ago(days=days),
                "flagged": more.get("flagged_at"),
                "by": more.get("flagged_by"),
                "why": more.get("flag_reason"),
            },
        )
        return observation

    def filing(self, observation: UUID, *, state: str = "accepted", verdict: str = "Accepted.", **more: Any) -> int:
        values = {
            "dag_run_id": f"{observation}.{state}.{more.get('size_bytes', 0)}",
            "received_from": "primecam",
            "received_at": self.ago(hours=3),
            "conf": '{"instrument": "primecam", "instrument_module": "mod280", "data_location": "ccat_source"}',
            "executed_obs_unit_id": observation,
            "data_location_id": self.places["ccat_source"],
            "state": state,
            "verdict": verdict,
            "decided_at": None if state == "received" else self.ago(hours=2.9),
            "file_count": 12,
        }
        return self.insert("filing", **values | more)

    def package(
        self,
        name: str,
        observation: UUID,
        *,
        module: str = "mod280",
        state: str = "archived",
        days: float = 0.0,
        files: tuple[str, ...] = (),
        at: tuple[str, ...] = (),
        size_bytes: int = 12 * GB,
        filing: int | None = None,
    ) -> int:
        """A package with copies `at` these locations, verified everywhere but at ccat_buffer."""
        which = self.connection.execute(
            text("select id from instrument_module where name = :name"), {"name": module}
        ).scalar_one()
        created = self.ago(days=days)
        number = self.connection.execute(
            text("select count(*) + 1 from raw_data_package where executed_obs_unit_id = :id"), {"id": observation}
        ).scalar_one()
        package = self.insert(
            "raw_data_package",
            name=name,
            executed_obs_unit_id=observation,
            instrument_module_id=which,
            source_location_id=self.places["ccat_source"],
            number=number,
            path=f"primecam/{created:%Y%m%d}/{name[:60]}.tar",
            state=state,
            file_count=max(len(files), 1),
            content_bytes=size_bytes,
            size_bytes=size_bytes,
            checksum=CHECKSUM,
            created_at=created,
            packaged_at=None if state == "failed" else created + timedelta(minutes=4),
            archived_at=created + timedelta(hours=1 + days % 3) if state == "archived" else None,
        )
        filing = filing or self.filing(observation, size_bytes=package)
        for position, path in enumerate(files):
            file = uuid5(observation, f"{package}/{path}")
            self.connection.execute(
                text(
                    "insert into raw_data_file (id, executed_obs_unit_id, instrument_module_id, data_location_id,"
                    " filing_id, path, size_bytes, checksum, raw_data_package_id, offset_bytes) values (:id,"
                    " :observation, :module, :source, :filing, :path, :size, :checksum, :package, :offset)"
                ),
                {
                    "id": file,
                    "observation": observation,
                    "module": which,
                    "source": self.places["ccat_source"],
                    "filing": filing,
                    "path": path,
                    "size": size_bytes // len(files),
                    "checksum": CHECKSUM,
                    "package": package,
                    "offset": 512 + position * 1_000_448,
                },
            )
        for place in at:
            self.insert(
                "physical_copy",
                raw_data_package_id=package,
                data_location_id=self.places[place],
                path=f"{name[:60]}.tar",
                size_bytes=size_bytes,
                status="staged" if "processing" in place else "present",
                checksum=CHECKSUM,
                created_at=created + timedelta(minutes=30),
                verified_at=None if place == "ccat_buffer" else created + timedelta(minutes=40),
            )
        return package

    def transfer(self, packages: list[int], origin: str, destination: str, *, done: bool = False) -> int:
        bundle = self.insert(
            "data_transfer_package",
            origin_location_id=self.places[origin],
            destination_location_id=self.places[destination],
            is_primary=origin.startswith("ccat"),
            state="closed",
            opened_at=self.ago(hours=2),
            closes_at=self.ago(hours=1.9),
            closed_at=self.ago(hours=1.9),
        )
        for package in packages:
            self.insert("data_transfer_package_member", data_transfer_package_id=bundle, raw_data_package_id=package)
        status = "completed" if done else "pending"
        return self.insert(
            "data_transfer",
            data_transfer_package_id=bundle,
            origin_location_id=self.places[origin],
            destination_location_id=self.places[destination],
            transfer_status=status,
            unpacking_status=status,
            transferred_at=self.ago(hours=1) if done else None,
            unpacked_at=self.ago(hours=0.9) if done else None,
        )

    def operation(self, kind: str, place: str, *, status: str, explanation: str, **more: Any) -> int:
        """An operation; one in progress has a lease."""
        values: dict[str, Any] = {"created_at": self.ago(minutes=50), "size_bytes": 12 * GB}
        if status == "in_progress":
            values |= {
                "lease_token": 1,
                "lease_owner": f"{kind}/manual__1/run/0",
                "lease_try": 1,
                "lease_expires_at": self.now + timedelta(hours=5),
            }
        if status == "completed":
            values |= {"finished_at": self.ago(minutes=20)}
        return self.insert(
            "operation",
            kind=kind,
            data_location_id=self.places[place],
            status=status,
            explanation=explanation,
            **values | more,
        )

    def attempt(self, operation: int, number: int, *, kind: str, outcome: str | None = None, **more: Any) -> None:
        values = {
            "started_at": self.ago(minutes=40 - number),
            "host": "cologne",
            "pid": 4711,
            "dag_id": kind,
            "run_id": "scheduled__2026-11-20T10:00:00+00:00",
            "task_id": "at_cologne_buffer.run",
            "map_index": 3,
            "try_number": 1,
            "size_bytes": 4 * GB,
            "queue": f"cologne_buffer_{kind}",
            "finished_at": None if outcome is None else self.ago(minutes=30 - number),
        }
        self.insert("operation_attempt", operation_id=operation, number=number, outcome=outcome, **values | more)

    def measured(self, place: str, *, total: int | None, first: float, last: float) -> None:
        """Measured every half hour of two days, filling from one share to another."""
        self.connection.execute(
            text(
                "insert into location_measurement (data_location_id, measured_at, host, total_bytes, used_bytes,"
                " stored_bytes, stored_copies, counted_at) select :here, now() - make_interval(mins => 30 * step),"
                " 'cologne', :total, (coalesce(:total, 100000000000000) * (:last + (:first - :last) * step / 96.0))"
                "::bigint, 1000000000, 12, now() from generate_series(0, 96) step"
            ),
            {"here": self.places[place], "total": total, "first": first, "last": last},
        )

    def condition(self, place: str, condition: str, why: str) -> None:
        self.insert("location_change", data_location_id=self.places[place], condition=condition, why=why)

    def route(self, origin: str, destination: str, decisions: list[tuple[int, str]], *, operation: int) -> None:
        route = self.insert(
            "data_transfer_route",
            origin_location_id=self.places[origin],
            destination_location_id=self.places[destination],
            streams=decisions[-1][0],
        )
        for turn, (streams, why) in enumerate(decisions):
            self.insert(
                "transfer_decision",
                data_transfer_route_id=route,
                operation_id=operation,
                streams=streams,
                why=why,
                decided_at=self.ago(minutes=3 * (len(decisions) - turn)),
            )


JSON = {"conf", "evidence", "unreached"}
NO_ID = {
    "data_transfer_package_member",
    "operation_attempt",
    "space_reservation",
    "staging_job_package",
    "deletion_brake_package",
    "location_measurement",
    "host_heartbeat",
}


def seed(engine: Engine) -> None:
    """Write it all."""
    with engine.begin() as connection:
        everything(Seeds(connection))


def everything(seeds: Seeds) -> None:
    """Weeks of archived packages, an outage under way, questions for people."""
    archived = archived_weeks(seeds)
    under_way(seeds)
    in_trouble(seeds)
    for_people(seeds, archived)
    heartbeats(seeds)
    for place, total, first, last in (
        ("ccat_source", 400_000 * GB, 0.31, 0.42),
        ("ccat_buffer", 200_000 * GB, 0.40, 0.71),
        ("cologne_buffer", 300_000 * GB, 0.55, 0.52),
        ("us_buffer", 100_000 * GB, 0.80, 0.93),
        ("cologne_archive", None, 0.5, 0.52),
        ("us_archive", None, 0.4, 0.41),
        ("cologne_processing", 50_000 * GB, 0.2, 0.35),
    ):
        seeds.measured(place, total=total, first=first, last=last)
    seeds.condition(
        "us_buffer", "pressed", "us_buffer is 93 % full, above its high mark of 90 %: deletion makes room down to 80 %."
    )


def archived_weeks(seeds: Seeds) -> list[int]:
    packages = []
    for number in range(60):
        chai = number % 4 == 3
        observation = seeds.observation(number, instrument="chai" if chai else "primecam", days=1 + number / 2)
        module = ("lfa", "hfa")[number % 2] if chai else ("mod280", "mod350", "eorspec")[number % 3]
        began = seeds.ago(days=1 + number / 2)
        name = f"{'chai' if chai else 'primecam'}_{module}_{began:%Y%m%dT%H%M%S}_{observation.hex[:8]}_0001"
        packages.append(
            seeds.package(
                name,
                observation,
                module=module,
                days=1 + number / 2,
                size_bytes=(8 + number % 7) * 100 * GB,
                files=tuple(f"{1_760_000_000 + number}/rfsoc0{part}/x_{part:03}.g3" for part in range(3))
                if number < 12
                else (),
                at=("ccat_buffer", "cologne_buffer", "cologne_archive", "us_buffer", "us_archive")
                if number < 6
                else ("cologne_archive", "us_archive"),
            )
        )
    for hours in range(1, 24):
        transfer = seeds.transfer([packages[hours % 20]], "ccat_buffer", "cologne_buffer", done=True)
        operation = seeds.operation(
            "transfer",
            "cologne_buffer",
            status="completed",
            explanation="Pulled.",
            data_transfer_id=transfer,
            size_bytes=int((200 + 90 * (hours % 5)) * GB),
            created_at=seeds.ago(hours=hours + 1),
            finished_at=seeds.ago(hours=hours - 0.5),
        )
        seeds.attempt(
            operation,
            1,
            kind="transfer",
            outcome="completed",
            started_at=seeds.ago(hours=hours + 0.4),
            finished_at=seeds.ago(hours=hours - 0.5),
        )
    return packages


def under_way(seeds: Seeds) -> None:
    operations = []
    for number in range(100, 109):
        observation = seeds.observation(number, days=0.02 * (number - 99))
        package = seeds.package(
            f"primecam_mod280_{seeds.ago(days=0.02 * (number - 99)):%Y%m%dT%H%M%S}_{observation.hex[:8]}_0001",
            observation,
            state="transferring",
            days=0.02 * (number - 99),
            files=("a_000.g3", "a_001.g3"),
            at=("ccat_buffer",),
            size_bytes=48 * GB,
        )
        place = "us_buffer" if number % 3 == 0 else "cologne_buffer"
        transfer = seeds.transfer([package], "ccat_buffer", place)
        moving = number < 103
        said = "Pulling 48 GB over 12 connections: 31 % is there." if moving else "Its turn comes after 4 others."
        operation = seeds.operation(
            "transfer",
            place,
            status="in_progress" if moving else "pending",
            explanation=said,
            data_transfer_id=transfer,
            size_bytes=48 * GB,
        )
        if moving:
            seeds.attempt(operation, 1, kind="transfer", started_at=seeds.ago(minutes=6))
            seeds.insert(
                "space_reservation",
                operation_id=operation,
                lease_token=1,
                data_location_id=seeds.places[place],
                size_bytes=33 * GB,
            )
        operations.append(operation)
    seeds.route(
        "ccat_buffer",
        "cologne_buffer",
        [
            (8, "Began with 8 connections, as the last transfer ended."),
            (12, "12 connections: 8 gave 61 MB/s and 12 give 83 MB/s, so more help."),
            (16, "16 connections tried: they give 84 MB/s, no more than 12 did."),
            (12, "Back to 12 connections: 4 more gave 1 MB/s, less than the 5 % that they must."),
        ],
        operation=operations[0],
    )
    seeds.route(
        "ccat_buffer", "us_buffer", [(4, "4 connections: 2 of 6 were cut within a minute.")], operation=operations[3]
    )
    for number in range(5):
        observation = seeds.observation(200 + number, days=0.01)
        package = seeds.package(
            f"primecam_mod350_{observation.hex[:8]}_0001",
            observation,
            module="mod350",
            state="waiting",
            size_bytes=30 * GB,
        )
        seeds.operation(
            "packaging",
            "ccat_source",
            status="in_progress" if number < 2 else "pending",
            explanation="Its files are being read.",
            raw_data_package_id=package,
        )


def in_trouble(seeds: Seeds) -> None:
    observation = seeds.observation(
        300, days=0.4, flagged_at=seeds.ago(hours=2), flagged_by="jane", flag_reason="a supernova"
    )
    broken = seeds.package(
        f"primecam_eorspec_{observation.hex[:8]}_0001", observation, module="eorspec", state="failed", days=0.4
    )
    failed = seeds.operation(
        "packaging",
        "ccat_source",
        status="failed",
        failure_count=0,
        raw_data_package_id=broken,
        attempt_count=2,
        explanation="17/rfsoc01/1700000000_004.g3 at ccat_source has 12 bytes, but 10,485,760 were filed:"
        " file it again as it is.",
    )
    seeds.attempt(
        failed, 1, kind="packaging", outcome="permanent", error_class="ChangedFileError", error_text="It has 12 bytes."
    )
    seeds.attempt(failed, 2, kind="packaging", outcome="reset", person="jane", explanation="I have looked at it.")
    stuck = seeds.package(
        f"primecam_mod280_{observation.hex[:8]}_0002", observation, state="transferring", days=0.4, at=("ccat_buffer",)
    )
    transfer = seeds.transfer([stuck], "ccat_buffer", "us_buffer")
    operation = seeds.operation(
        "transfer",
        "us_buffer",
        status="pending",
        failure_count=7,
        not_before=seeds.now + timedelta(minutes=9),
        data_transfer_id=transfer,
        attempt_count=7,
        size_bytes=48 * GB,
        created_at=seeds.ago(hours=9),
        explanation="The host of ccat_buffer does not answer on port 22 (7th time); tried again at 23:10 UTC.",
    )
    for number in range(1, 8):
        seeds.attempt(
            operation,
            number,
            kind="transfer",
            outcome="transient",
            error_class="NetworkError",
            error_text="ccat-buffer does not answer on port 22.",
        )
    for number in range(7):
        observation = seeds.observation(310 + number, days=0.2)
        package = seeds.package(
            f"chai_lfa_{observation.hex[:8]}_0001",
            observation,
            module="lfa",
            state="archived",
            days=0.2,
            at=("us_buffer", "cologne_archive"),
        )
        seeds.operation(
            "archiving",
            "us_archive",
            status="pending",
            failure_count=number % 2,
            raw_data_package_id=package,
            explanation="us_archive answered 503 SlowDown; tried again in a minute.",
        )


def for_people(seeds: Seeds, archived: list[int]) -> None:
    refused = seeds.observation(400, days=0.1)
    seeds.filing(
        refused,
        state="refused",
        size_bytes=10**8,
        verdict="Refused: 17/rfsoc02/1700000001_003.g3 does not exist at ccat_source; write it, then file it again.",
    )
    seeds.filing(refused, state="received", verdict="Received: 12 files.", size_bytes=2 * 10**8)
    evidence = (
        '[{"location": "cologne_archive", "site": "cologne", "checksum": "xxh3-128:01",'
        ' "verified_at": "2026-11-20T10:00:00Z"},'
        ' {"location": "us_archive", "site": "us", "checksum": "xxh3-128:01", "verified_at": "2026-11-20T11:00:00Z"}]'
    )
    for package in archived[6:30]:
        seeds.insert(
            "deletion_record",
            raw_data_package_id=package,
            data_location_id=seeds.places["ccat_buffer"],
            operation_id=package,
            requested_by="policy",
            reason="It is verified in 2 archives at 2 sites, and 3 days old.",
            topology_version_id=seeds.topology,
            copy_count=1,
            size_bytes=900 * GB,
            evidence=evidence,
            recorded_at=seeds.ago(hours=package % 40),
            run_id="scheduled__1",
        )
    brake = seeds.insert(
        "deletion_brake",
        data_location_id=seeds.places["us_buffer"],
        requested_by="policy",
        topology_version_id=seeds.topology,
        policy_sha256="x",
        package_count=6,
        copy_count=6,
        size_bytes=5400 * GB,
        location_bytes=9000 * GB,
        run_id="scheduled__2",
        why="6 packages with 5.4 TB would go from us_buffer at once: 60 % of what lies there, and policy asks a"
        " person above 25 %.",
    )
    for package in archived[:6]:
        seeds.insert(
            "deletion_brake_package",
            deletion_brake_id=brake,
            raw_data_package_id=package,
            copy_count=1,
            size_bytes=900 * GB,
        )
    seeds.insert(
        "deletion_brake",
        data_location_id=seeds.places["ccat_source"],
        requested_by="policy",
        topology_version_id=seeds.topology,
        policy_sha256="x",
        package_count=40,
        copy_count=1200,
        size_bytes=1900 * GB,
        location_bytes=4000 * GB,
        why="40 packages with 1.9 TB would go from ccat_source at once: 47 % of what lies there.",
        answer="refused",
        answered_at=seeds.ago(days=2),
        answered_by="operator",
        reason="not before the meeting",
        asked_at=seeds.ago(days=2.1),
    )
    for number, (person, state) in enumerate((("jane", "active"), ("operator", "active"), ("jane", "released"))):
        job = seeds.insert(
            "staging_job",
            requested_by=person,
            reason="maps of November",
            data_location_id=seeds.places["cologne_processing"],
            until=seeds.now + timedelta(days=20 + number),
            state=state,
            created_at=seeds.ago(days=1 + number),
        )
        for package in archived[number * 4 : number * 4 + 4]:
            seeds.insert("staging_job_package", staging_job_id=job, raw_data_package_id=package)
        seeds.insert(
            "staging_job_event",
            staging_job_id=job,
            event="requested",
            person=person,
            until=seeds.now,
            asked_through="dts",
        )
    for package in archived[:2]:
        seeds.insert(
            "physical_copy",
            raw_data_package_id=package,
            data_location_id=seeds.places["cologne_processing"],
            path="primecam/x",
            size_bytes=800 * GB,
            status="staged",
            checksum=CHECKSUM,
            verified_at=seeds.now,
        )
    seeds.insert(
        "alarm",
        key="lane_stalled:us_buffer_transfer",
        rule="lane_stalled",
        severity="critical",
        site="us",
        location="us_buffer",
        outage="link:ccat-us",
        sentence="Nothing has moved from ccat_buffer to us_buffer for 9 hours: 7 attempts failed, the last"
        " because ccat-buffer does not answer on port 22.",
        since=seeds.ago(hours=9),
        raised_at=seeds.ago(hours=8.9),
        last_seen_at=seeds.now,
    )


def heartbeats(seeds: Seeds) -> None:
    """One host's worker runs and listens to too little, one is silent, one has stopped; the fourth was never there."""
    for host, seconds, stopped, queues in (
        ("cologne", 4, None, ["cologne_buffer_transfer", "cologne_buffer_unpacking", "cologne_archive_archiving"]),
        ("us", 900, None, ["us_buffer_transfer", "us_archive_archiving"]),
        ("ccat-buffer", 300, seeds.ago(seconds=300), ["ccat_buffer_bundling"]),
    ):
        seeds.insert(
            "host_heartbeat",
            host=host,
            beaten_at=seeds.ago(seconds=seconds),
            started_at=seeds.ago(days=2),
            stopped_at=stopped,
            pid=4711,
            version="1.0",
            topology_sha256="x",
            queues=queues,
            clock_ahead_seconds=0.1,
            unreached="{}",
        )
