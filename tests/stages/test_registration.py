"""Registration: good filings, whole or in parts, once or again."""

import json
import time
from uuid import uuid4, uuid5

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from include.ops_db.states import CopyStatus, WorkStatus
from include.ops_db.tables import ExecutedObsUnit, Filing, PhysicalCopy
from include.topology import OperationKind
from tests.observatory import Observatory
from tests.registration.filings import (
    FINISHED,
    Written,
    file_it,
    filing_of,
    inline,
    write_manifest,
    written,
)
from tests.stages.registered import CHECKSUM, FILES, OTHER_CHECKSUM, assert_accepted, assert_refused, raw_data_files


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
