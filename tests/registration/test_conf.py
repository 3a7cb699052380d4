import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from include.errors import FilingRefusedError
from include.registration.conf import parse_conf
from include.registration.shown import size_shown
from include.topology import Policy
from tests.registration.bad_confs import BAD_SHAPES, GOOD, Bad, changed, without

POLICY = Policy()


def test_a_good_filing_is_read_with_its_types() -> None:
    filing = parse_conf(changed(finished_at="2026-04-01T06:00:00+02:00"), policy=POLICY)
    assert filing.executed_obs_unit == UUID(str(GOOD["executed_obs_unit"]))
    assert filing.started_at == datetime(2026, 4, 1, 3, 20, tzinfo=UTC)
    assert filing.finished_at == datetime(2026, 4, 1, 4, tzinfo=UTC)
    assert [(file.path, file.size_bytes, file.checksum, file.id) for file in filing.files or ()] == [
        ("a.g3", 1, None, None)
    ]
    assert filing.manifest is None


def test_a_key_may_be_null_instead_of_left_out() -> None:
    assert parse_conf(changed(finished_at=None, manifest=None), policy=POLICY) == parse_conf(GOOD, policy=POLICY)
    assert (
        parse_conf(without("files") | {"manifest": "m/1.jsonl", "files": None}, policy=POLICY).manifest == "m/1.jsonl"
    )


def test_as_many_inline_files_as_the_policy_allows_are_read() -> None:
    conf = changed(files=[{"path": str(n), "size_bytes": n, "checksum": None, "id": None} for n in range(500)])
    assert len(parse_conf(conf, policy=POLICY).files or ()) == 500
    with pytest.raises(FilingRefusedError, match="500 files inline are more than the 499 allowed"):
        parse_conf(conf, policy=Policy(inline_files_max=499))


@pytest.mark.parametrize("bad", BAD_SHAPES.values(), ids=BAD_SHAPES.keys())
def test_a_filing_is_refused_in_a_short_sentence_that_names_the_culprit(bad: Bad) -> None:
    conf, words = bad
    with pytest.raises(FilingRefusedError) as refused:
        parse_conf(conf, policy=POLICY)
    sentence = str(refused.value)
    for word in words:
        assert word in sentence
    assert len(sentence) < 400
    assert sentence.endswith(".")
    assert sentence.isprintable()
    json.dumps(sentence).encode()


def test_sizes_are_shown_for_people() -> None:
    assert [size_shown(size) for size in (0, 999, 1000, 6_700_000, 999_949_999, 50 * 10**9, 2 * 10**15)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "6.7 MB",
        "999.9 MB",
        "50.0 GB",
        "2,000.0 TB",
    ]
