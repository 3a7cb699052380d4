"""Filings that contradict the disk, their manifest or what is filed: refused, with both sides named."""

import os
from uuid import UUID, uuid4, uuid5

import pytest
from sqlalchemy.orm import Session

from include.ops_db.apply import apply_topology
from include.ops_db.states import WorkStatus
from include.registration.verdict import verdict_of
from include.storage.disk import DiskStorage
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
from tests.stages.registered import CHECKSUM, FILES, OTHER_CHECKSUM, assert_accepted, assert_refused

# Filings that contradict the disk


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


# Manifests


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


# Filings that contradict what is filed


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
