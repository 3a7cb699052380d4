"""Whatever an account sends gets a verdict: no exception, no database error, and nothing written unless accepted."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.ops_db.states import FilingState
from tests.observatory import Observatory
from tests.registration.bad_confs import GOOD
from tests.registration.filings import file_it, send, written

TEXT = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    [
        "\0",
        "\ud800",
        "{{",
        "a.g3",
        "b/c.g3",
        "../x",
        "/",
        "m.jsonl",
        "primecam",
        "mod280",
        "ccat_source",
        "2026-04-01T03:20:00Z",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.integers(-(10**30), 10**30) | st.floats() | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)
FILE = st.fixed_dictionaries(
    {"path": TEXT, "size_bytes": st.sampled_from([0, 1, -1, 2**62])}, optional={"checksum": TEXT, "id": TEXT, "x": JSON}
)


@st.composite
def nearly_good(draw: st.DrawFn) -> dict[str, Any]:
    """A good filing with a few values changed, taken away or added."""
    conf = dict(GOOD)
    for key in draw(st.lists(st.sampled_from([*GOOD, "manifest", "finished_at"]), max_size=3)):
        conf[key] = draw(st.lists(FILE | JSON, max_size=3) if key == "files" else JSON)
    if draw(st.booleans()):
        conf |= draw(st.dictionaries(TEXT, JSON, max_size=2))
    for key in draw(st.lists(st.sampled_from([*conf]), max_size=1)):
        del conf[key]
    return conf


RUNS = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RUNS
@given(conf=JSON | nearly_good())
def test_any_conf_gets_a_verdict(observatory: Observatory, conf: Any) -> None:
    if not conf:
        assert send(observatory, conf).filing_id is None
        return
    if not (observatory.folder("ccat_source") / "a.g3").exists():
        observatory.put_files({"a.g3": b"a", "b/c.g3": b""})
    before = written(observatory)
    verdict = file_it(observatory, conf)
    assert verdict.state in {FilingState.ACCEPTED, FilingState.REFUSED}
    if verdict.state is FilingState.REFUSED:
        assert written(observatory) == before
        assert verdict.sentence.isprintable()
        assert len(verdict.sentence) < 600


LINE = (
    st.binary(max_size=40)
    | FILE.map(lambda file: json.dumps(file).encode())
    | JSON.map(lambda value: json.dumps(value).encode())
)


@RUNS
@given(lines=st.lists(LINE, max_size=4))
def test_any_manifest_gets_a_verdict(observatory: Observatory, lines: list[bytes]) -> None:
    observatory.put_files({"m": b"\n".join(lines), "a.g3": b"a", "b/c.g3": b""})
    before = written(observatory)
    conf = {key: value for key, value in GOOD.items() if key != "files"} | {"manifest": "m"}
    verdict = file_it(observatory, conf)
    assert verdict.state in {FilingState.ACCEPTED, FilingState.REFUSED}
    if verdict.state is FilingState.REFUSED:
        assert written(observatory) == before
        assert verdict.sentence.isprintable()
        assert len(verdict.sentence) < 600
