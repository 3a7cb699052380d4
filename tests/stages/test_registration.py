import json
import os
import threading
import time
from uuid import UUID, uuid4, uuid5

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from include.errors import TransientError
from include.ops_db.apply import apply_topology
from include.ops_db.states import CopyStatus, FilingState, WorkStatus
from include.ops_db.tables import ExecutedObsUnit, Filing, Operation, PhysicalCopy, RawDataFile
from include.registration.verdict import Verdict, verdict_of
from include.storage.disk import DiskStorage
from include.storage.interface import FileStat
from include.topology import OperationKind, Topology
from tests.observatory import Observatory
from tests.registration.filings import (
    FINISHED,
    STAGE,
    Written,
    file_it,
    filing_of,
    inline,
    run_id,
    send,
    write_manifest,
    written,
)

FILES = {"17/rfsoc01/1700000000_000.g3": b"first", "17/rfsoc01/1700000000_001.g3": b"second file", "17/empty.g3": b""}
CHECKSUM = "xxh3-128:" + "0" * 32
OTHER_CHECKSUM = "xxh3-128:" + "1" * 32


@pytest.fixture
def filed(observatory: Observatory) -> Observatory:
    """With FILES on the source's disk."""
    observatory.put_files(FILES)
    return observatory


def raw_data_files(observatory: Observatory) -> dict[str, RawDataFile]:
    with Session(observatory.engine) as session:
        return {row.path: row for row in session.scalars(select(RawDataFile))}


def assert_accepted(verdict: Verdict, *words: str) -> None:
    assert verdict.state is FilingState.ACCEPTED, verdict.sentence
    for word in words:
        assert word in verdict.sentence


def assert_refused(verdict: Verdict, *words: str) -> None:
    assert verdict.state is FilingState.REFUSED, verdict.sentence
    assert verdict.sentence.startswith("Refused: ")
    assert len(verdict.sentence) < 600
    for word in words:
        assert word in verdict.sentence


# --- good filings


def test_files_of_an_observation_are_filed_inline(filed: Observatory) -> None:
    conf = filing_of(FILES)
    verdict = file_it(filed, conf)
    assert_accepted(verdict, "3 new files (16 bytes)", "0 known before", "packaged when")
    assert written(filed) == Written(observations=1, files=3, copies=3)
    with Session(filed.engine) as session:
        observation = session.scalars(select(ExecutedObsUnit)).one()
        assert (str(observation.id), observation.finished_at) == (conf["executed_obs_unit"], None)
        for path, row in raw_data_files(filed).items():
            assert (row.id, row.size_bytes, row.checksum) == (uuid5(observation.id, path), len(FILES[path]), None)
        for copy in session.scalars(select(PhysicalCopy)):
            assert (copy.status, copy.size_bytes, copy.verified_at) == (
                CopyStatus.PRESENT,
                len(FILES[copy.path]),
                None,
            )
        filing = session.scalars(select(Filing)).one()
        assert (filing.file_count, filing.size_bytes, filing.conf) == (3, 16, conf)
    (operation,) = filed.operations(OperationKind.REGISTRATION)
    assert operation.status is WorkStatus.COMPLETED
    assert operation.explanation.startswith("3 files (16 bytes) looked at")


def test_files_are_filed_by_a_manifest_beside_them(filed: Observatory) -> None:
    write_manifest(filed, "manifests/a.jsonl", inline(FILES))
    verdict = file_it(filed, filing_of(manifest="manifests/a.jsonl", finished_at=FINISHED))
    assert_accepted(verdict, "3 new files", "packaged next")
    assert raw_data_files(filed).keys() == FILES.keys()


def test_a_manifest_needs_no_last_newline_and_may_have_empty_lines(filed: Observatory) -> None:
    lines = [json.dumps(entry) for entry in inline(FILES)]
    filed.put_files({"m": "\r\n\n".join(lines).encode()})
    assert_accepted(file_it(filed, filing_of(manifest="m")), "3 new files")


def test_odd_but_legal_names_are_taken_literally(filed: Observatory) -> None:
    odd = {
        " leading": b"1",
        "-rf": b"2",
        "new\nline": b"3",
        "ü/Ω 望遠鏡.g3": b"4",
        "a\\b'\"%s": b"5",
        "\x01\x7f": b"6",
        "{}": b"7",
    }
    filed.put_files(odd)
    assert_accepted(file_it(filed, filing_of(odd)), "7 new files")
    assert raw_data_files(filed).keys() == odd.keys()


def test_ids_and_checksums_given_by_the_instrument_are_kept(filed: Observatory) -> None:
    path, content = next(iter(FILES.items()))
    identity = str(uuid4())
    entry = {"path": path, "size_bytes": len(content), "checksum": CHECKSUM, "id": identity}
    assert_accepted(file_it(filed, filing_of(files=[entry])), "1 new file (5 bytes)")
    row = raw_data_files(filed)[path]
    assert (str(row.id), row.checksum) == (identity, CHECKSUM)


def test_the_same_filing_again_changes_nothing(filed: Observatory) -> None:
    conf = filing_of(FILES)
    file_it(filed, conf)
    before = written(filed)
    assert_accepted(file_it(filed, conf), "all 3 files", "changes nothing")
    assert written(filed) == before


def test_further_files_of_an_open_observation_are_added(filed: Observatory) -> None:
    conf = filing_of(FILES)
    file_it(filed, conf)
    filed.put_files({"17/more.g3": b"more"})
    more = conf | {"files": inline({**FILES, "17/more.g3": b"more"}), "finished_at": FINISHED}
    assert_accepted(file_it(filed, more), "1 new file (4 bytes)", "3 known before", "packaged next")
    assert written(filed) == Written(observations=1, files=4, copies=4)
    with Session(filed.engine) as session:
        assert session.scalars(select(ExecutedObsUnit.finished_at)).one() is not None


def test_known_files_can_close_an_observation(filed: Observatory) -> None:
    conf = filing_of(FILES)
    file_it(filed, conf)
    assert_accepted(file_it(filed, conf | {"finished_at": FINISHED}), "now finished")
    assert_accepted(file_it(filed, conf | {"finished_at": FINISHED}), "changes nothing")
    assert_accepted(file_it(filed, conf), "changes nothing")


def test_each_module_of_an_observation_closes_by_itself(filed: Observatory) -> None:
    filed.put_files({"350.g3": b"350", "350-2.g3": b"350"})
    conf = filing_of(FILES, finished_at=FINISHED)
    file_it(filed, conf)
    other = conf | {"instrument_module": "mod350", "files": inline({"350.g3": b"350"})}
    assert_accepted(file_it(filed, {key: value for key, value in other.items() if key != "finished_at"}), "1 new file")
    assert_accepted(file_it(filed, other | {"files": inline({"350-2.g3": b"350"})}), "1 new file")
    assert_refused(file_it(filed, other | {"files": inline({"17/empty.g3": b""})}), "for module mod280, not for mod350")


def test_a_checksum_that_comes_later_is_added_until_the_file_is_packaged(filed: Observatory) -> None:
    conf = filing_of({"17/empty.g3": b""})
    file_it(filed, conf)
    entry = {"path": "17/empty.g3", "size_bytes": 0, "checksum": CHECKSUM}
    assert_accepted(file_it(filed, conf | {"files": [entry]}))
    assert raw_data_files(filed)["17/empty.g3"].checksum == CHECKSUM
    other = entry | {"checksum": OTHER_CHECKSUM}
    assert_refused(file_it(filed, conf | {"files": [other]}), CHECKSUM, OTHER_CHECKSUM)


def test_files_that_were_removed_because_they_are_safe_elsewhere_are_known(filed: Observatory) -> None:
    conf = filing_of(FILES)
    file_it(filed, conf)
    with Session(filed.engine) as session, session.begin():
        session.execute(update(PhysicalCopy).values(status=CopyStatus.DELETED))
    for path in FILES:
        (filed.folder("ccat_source") / path).unlink()
    assert_accepted(file_it(filed, conf), "changes nothing")
    # another observation may use the path again, and its file has to be there
    assert_refused(file_it(filed, filing_of(FILES)), "is not at ccat_source", "(and 2 more are not)")
    filed.put_files(FILES)
    assert_accepted(file_it(filed, filing_of(FILES)), "3 new files")


def test_a_link_between_folders_of_the_location_may_be_followed(filed: Observatory) -> None:
    (filed.folder("ccat_source") / "latest").symlink_to("17")
    assert_accepted(file_it(filed, filing_of({"latest/empty.g3": b""})))


def test_five_thousand_files_go_by_manifest_in_a_few_seconds(observatory: Observatory) -> None:
    files = {f"{number % 50}/{number}.g3": b"x" * (number % 7) for number in range(5000)}
    observatory.put_files(files)
    write_manifest(observatory, "manifest.jsonl", inline(files))
    began = time.monotonic()
    assert_accepted(file_it(observatory, filing_of(manifest="manifest.jsonl", finished_at=FINISHED)), "5,000 new files")
    assert time.monotonic() - began < 10
    assert written(observatory) == Written(observations=1, files=5000, copies=5000)


# --- filings that contradict the disk


def test_a_file_that_is_not_there_is_named(filed: Observatory) -> None:
    verdict = file_it(filed, filing_of(FILES | {"17/missing.g3": b"", "17/also missing.g3": b""}))
    assert_refused(verdict, "'17/missing.g3' is not at ccat_source", "(and 1 more is not)")
    assert written(filed) == Written(0, 0, 0)
    (operation,) = filed.operations(OperationKind.REGISTRATION)
    assert operation.status is WorkStatus.COMPLETED


def test_a_file_of_another_size_is_named_with_both_sizes(filed: Observatory) -> None:
    assert_refused(
        file_it(filed, filing_of(FILES | {"17/empty.g3": b"x"})), "'17/empty.g3' has 0 bytes", "not the 1 filed"
    )
    assert written(filed) == Written(0, 0, 0)


def test_a_link_out_of_the_location_is_refused(filed: Observatory) -> None:
    outside = filed.root / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (filed.folder("ccat_source") / "folder").symlink_to(outside)
    (filed.folder("ccat_source") / "file").symlink_to(outside / "secret")
    assert_refused(file_it(filed, filing_of({"folder/secret": b"secret"})), "'folder/secret' is refused", "leads out")
    assert_refused(file_it(filed, filing_of({"file": b"secret"})), "'file'", "no regular file")
    assert_refused(file_it(filed, filing_of(manifest="folder/secret")), "manifest 'folder/secret'", "leads out")
    assert_refused(file_it(filed, filing_of(manifest="file")), "manifest 'file'", "no regular file")
    assert written(filed) == Written(0, 0, 0)


def test_what_is_no_regular_file_is_refused(filed: Observatory) -> None:
    os.mkfifo(filed.folder("ccat_source") / "pipe")
    for path in ("pipe", "17"):
        assert_refused(file_it(filed, filing_of({path: b""})), f"{path!r} is not at ccat_source, or is no regular file")
        assert_refused(file_it(filed, filing_of(manifest=path)), f"manifest {path!r} is not at")


def test_a_name_that_no_disk_takes_is_refused(filed: Observatory) -> None:
    assert_refused(file_it(filed, filing_of({"n" * 300: b""})), "'nnn", "too long")
    assert_refused(file_it(filed, filing_of({"17/empty.g3/below": b""})), "'17/empty.g3/below' is not at")


def test_a_refused_filing_is_looked_at_again_when_its_run_is_cleared(filed: Observatory) -> None:
    files = FILES | {"17/late.g3": b"late"}
    conf, run = filing_of(files), run_id()
    assert_refused(file_it(filed, conf, run=run), "'17/late.g3'")
    filed.put_files(files)
    assert_accepted(file_it(filed, conf, run=run), "4 new files")
    assert_accepted(file_it(filed, conf, run=run), "4 new files")
    assert len(filed.operations(OperationKind.REGISTRATION)) == 2


# --- manifests


def test_a_malformed_manifest_is_refused_by_its_line(filed: Observatory) -> None:
    write_manifest(filed, "m", [*inline(FILES), {"path": "/etc/passwd", "size_bytes": 1}])
    assert_refused(file_it(filed, filing_of(manifest="m")), "line 4 of manifest 'm'", "'/etc/passwd'", "absolute")
    write_manifest(filed, "m", [*inline(FILES), *inline(FILES)])
    assert_refused(file_it(filed, filing_of(manifest="m")), "line 4 of manifest 'm'", "stands twice")
    filed.put_files({"m": b""})
    assert_refused(file_it(filed, filing_of(manifest="m")), "manifest 'm' names no files")
    assert written(filed) == Written(0, 0, 0)


def test_a_manifest_that_is_not_there_is_named(filed: Observatory) -> None:
    assert_refused(
        file_it(filed, filing_of(manifest="manifests/gone.jsonl")), "'manifests/gone.jsonl' is not at ccat_source"
    )
    assert written(filed) == Written(0, 0, 0)


# --- filings that contradict what is filed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"instrument": "chai", "instrument_module": "lfa"},
            ("belongs to instrument primecam, not to chai",),
            id="instrument",
        ),
        pytest.param(
            {"started_at": "2026-04-01T03:20:01Z"},
            ("started_at 2026-04-01T03:20:00Z, not 2026-04-01T03:20:01Z",),
            id="started_at",
        ),
        pytest.param(
            {"finished_at": "2026-04-01T04:00:01Z"},
            ("finished_at 2026-04-01T04:00:00Z, not 2026-04-01T04:00:01Z",),
            id="finished_at",
        ),
        pytest.param(
            {"instrument_module": "mod350"},
            ("'17/a.g3' was filed before for module mod280, not for mod350",),
            id="module",
        ),
        pytest.param(
            {"files": [{"path": "17/a.g3", "size_bytes": 5, "checksum": OTHER_CHECKSUM}]},
            (CHECKSUM, OTHER_CHECKSUM),
            id="checksum",
        ),
        pytest.param(
            {"files": [{"path": "17/a.g3", "size_bytes": 5, "id": "6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69"}]},
            ("with id", "not 6f1c2f0e-9d5b-4a52-8f0a-3c1d2e4b5a69"),
            id="id",
        ),
        pytest.param(
            {"files": inline({"17/a.g3": b"first", "17/new.g3": b"new"})},
            ("'17/new.g3' is new", "finished at 2026-04-01T04:00:00Z"),
            id="new",
        ),
        pytest.param(
            {"executed_obs_unit": str(uuid4())},
            ("'17/a.g3' is filed at ccat_source under observation",),
            id="another observation's file",
        ),
    ],
)
def test_a_contradiction_is_refused_with_both_sides(
    observatory: Observatory, changes: dict[str, object], words: tuple[str, ...]
) -> None:
    observatory.put_files({"17/a.g3": b"first", "17/new.g3": b"new"})
    first = filing_of(files=[{"path": "17/a.g3", "size_bytes": 5, "checksum": CHECKSUM}], finished_at=FINISHED)
    assert_accepted(file_it(observatory, first))
    before = written(observatory)
    assert_refused(file_it(observatory, first | changes, account="admin"), *words)
    assert written(observatory) == before


def test_a_file_that_grew_after_it_was_filed_is_a_contradiction(filed: Observatory) -> None:
    conf = filing_of(FILES)
    file_it(filed, conf)
    filed.put_files({"17/empty.g3": b"no longer"})
    assert_refused(file_it(filed, conf), "has 9 bytes", "not the 0 filed")
    grown = FILES | {"17/empty.g3": b"no longer"}
    assert_refused(file_it(filed, conf | {"files": inline(grown)}), "filed before with 0 bytes, not 9")


def test_an_id_belongs_to_one_file(filed: Observatory) -> None:
    identity = str(uuid4())
    first, second, third = FILES
    file_it(filed, filing_of(files=[{"path": first, "size_bytes": 5, "id": identity}]))
    before = written(filed)
    stolen = filing_of(files=[{"path": second, "size_bytes": 11, "id": identity}])
    assert_refused(file_it(filed, stolen), f"the id {identity}", second, first)
    # nor may it be the one that another file will have without being given any
    observation = str(uuid4())
    both = [
        {"path": second, "size_bytes": 11},
        {"path": third, "size_bytes": 0, "id": str(uuid5(UUID(observation), second))},
    ]
    assert_refused(file_it(filed, filing_of(files=both, executed_obs_unit=observation)), "files[1]", "another file")
    assert written(filed) == before


def test_a_file_of_an_observation_lies_at_one_source(filed: Observatory) -> None:
    document = filed.topology.model_dump()
    second = next(entry for entry in document["data_locations"] if entry["name"] == "source")
    root = filed.root / "second"
    document["data_locations"] += (second | {"name": "second", "storage": {"type": "disk", "root": str(root)}},)
    document["instruments"][0]["data_locations"] += ("ccat_second",)
    filed.topology = Topology.model_validate(document)
    with Session(filed.engine) as session, session.begin():
        apply_topology(session, filed.topology, applied_by="tests")
    root.mkdir()
    filed.storages["ccat_second"] = DiskStorage(root)
    filed.put_files(FILES | {"17/other.g3": b"other"}, location="ccat_second")
    conf = filing_of(FILES)
    assert_accepted(file_it(filed, conf))
    before = written(filed)
    runs = [run_id(), run_id()]
    send(filed, conf | {"data_location": "ccat_second"}, run=runs[0])
    send(filed, conf | {"data_location": "ccat_second", "files": inline({"17/other.g3": b"other"})}, run=runs[1])
    filed.run(STAGE, "ccat_second")
    assert_refused(verdict_of(filed.engine, runs[0]), "filed before at ccat_source, not at ccat_second")
    assert_accepted(verdict_of(filed.engine, runs[1]), "1 new file")
    assert written(filed) == Written(before.observations, before.files + 1, before.copies + 1)


# --- the machine


def test_two_observations_that_file_the_same_file_at_once_cannot_both_have_it(filed: Observatory) -> None:
    for _ in range(5):
        path = f"contested/{uuid4()}.g3"
        filed.put_files({path: b"mine"})
        runs = [run_id() for _ in range(4)]
        for run in runs:
            send(filed, filing_of({path: b"mine"}), run=run)
        (batch,) = filed.plan(STAGE, "ccat_source").batches
        barrier = threading.Barrier(len(batch))

        def work(operation_id: int, barrier: threading.Barrier = barrier) -> None:
            runner = filed.runner(STAGE, "ccat_source", run_id=f"run {operation_id}")
            barrier.wait()
            assert runner.run([operation_id]).completed == 1

        threads = [threading.Thread(target=work, args=(operation_id,)) for operation_id in batch]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        states = sorted(str(verdict_of(filed.engine, run).state) for run in runs)
        assert states == ["accepted", "refused", "refused", "refused"]
        assert raw_data_files(filed).keys() >= {path}
    assert written(filed) == Written(observations=5, files=5, copies=5)


def test_filings_of_one_observation_at_once_add_up(filed: Observatory) -> None:
    observation = str(uuid4())
    files = {f"part-{number}.g3": b"x" for number in range(6)}
    filed.put_files(files)
    for path in files:
        send(filed, filing_of({path: b"x"}, executed_obs_unit=observation))
    (batch,) = filed.plan(STAGE, "ccat_source").batches
    threads = [
        threading.Thread(target=filed.runner(STAGE, "ccat_source", run_id=f"run {number}").run, args=([operation_id],))
        for number, operation_id in enumerate(batch)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written(filed) == Written(observations=1, files=6, copies=6)


def test_a_disk_that_is_not_there_is_waited_for_and_no_verdict(filed: Observatory) -> None:
    run = run_id()
    send(filed, filing_of(FILES), run=run)
    folder = filed.folder("ccat_source")
    folder.rename(folder.with_name("unmounted"))
    report = filed.run(STAGE, "ccat_source")
    assert (report.completed, report.later) == (0, 1)
    verdict = verdict_of(filed.engine, run)
    assert verdict.state is FilingState.RECEIVED
    assert "No verdict yet" in verdict.sentence
    assert "is its disk mounted" in verdict.sentence
    folder.with_name("unmounted").rename(folder)
    with filed.engine.begin() as connection:
        connection.execute(text("update operation set not_before = null"))
    filed.run(STAGE, "ccat_source")
    assert_accepted(verdict_of(filed.engine, run))


class _HangingDisk(DiskStorage):
    """Fails in the middle of a filing."""

    def stat(self, path: str) -> FileStat | None:
        if path.endswith("empty.g3"):
            raise TransientError("the disk hangs")
        return super().stat(path)


def test_trouble_in_the_middle_writes_nothing(filed: Observatory) -> None:
    filed.storages["ccat_source"] = _HangingDisk(filed.folder("ccat_source"))
    send(filed, filing_of(FILES))
    assert filed.run(STAGE, "ccat_source").later == 1
    assert written(filed) == Written(0, 0, 0)


def test_a_filing_whose_operation_was_lost_gets_another(filed: Observatory) -> None:
    run = run_id()
    send(filed, filing_of(FILES), run=run)
    with filed.engine.begin() as connection:
        connection.execute(text("delete from operation"))
    filed.run(STAGE, "ccat_source")
    assert_accepted(verdict_of(filed.engine, run))
    filed.plan(STAGE, "ccat_source")
    assert len(filed.operations(OperationKind.REGISTRATION)) == 1


def test_an_operation_that_is_done_again_after_its_verdict_changes_nothing(filed: Observatory) -> None:
    run = run_id()
    before = file_it(filed, filing_of(FILES), run=run)
    with Session(filed.engine) as session, session.begin():
        session.execute(update(Operation).values(status=WorkStatus.PENDING))
    assert filed.run(STAGE, "ccat_source").completed == 1
    assert verdict_of(filed.engine, run) == before
    assert written(filed) == Written(observations=1, files=3, copies=3)
