"""Filings that cannot be accepted, whatever lies on the disk, each with the words that its verdict must have."""

from uuid import uuid4

from tests.registration.filings import filing_of, inline

GOOD = filing_of({"a.g3": b"a"})
FILE: dict[str, object] = {"path": "a.g3", "size_bytes": 1}

Bad = tuple[object, tuple[str, ...]]


def changed(**changes: object) -> dict[str, object]:
    """A good filing but for this; None stands as null."""
    return GOOD | changes


def without(*keys: str) -> dict[str, object]:
    """A good filing but for keys that are not there."""
    return {key: value for key, value in GOOD.items() if key not in keys}


def file(**changes: object) -> dict[str, object]:
    """A good filing of two files, the second of which has this."""
    return changed(files=[FILE, {"path": "b.g3", "size_bytes": 1} | changes])


BAD_SHAPES: dict[str, Bad] = {
    "a list": ([GOOD], ("conf is a list of 1 entry", "must be an object")),
    "a text": ("file this", ("conf is 'file this'",)),
    "no observation": (without("executed_obs_unit"), ("executed_obs_unit is missing",)),
    "nothing but an observation": ({"executed_obs_unit": str(uuid4())}, ("instrument is missing", "and 3 more")),
    "an observation that is no UUID": (changed(executed_obs_unit="42"), ("executed_obs_unit '42' must be a UUID",)),
    "an observation that is a number": (changed(executed_obs_unit=42), ("executed_obs_unit 42 must be a UUID",)),
    "an unknown key": (
        changed(intrument="primecam"),
        ("intrument is not a known key", "executed_obs_unit, instrument"),
    ),
    "an unknown key of a file": (file(md5="0"), ("files[1].md5 is not a known key", "path, size_bytes, checksum, id")),
    "no files": (without("files"), ("names no files", "manifest")),
    "files that are null": (changed(files=None), ("names no files",)),
    "an empty list of files": (changed(files=[]), ("files is empty",)),
    "files and a manifest": (changed(manifest="m"), ("both files and manifest",)),
    "files that are a text": (changed(files="a.g3"), ("files is 'a.g3'", "must be a list of files")),
    "files that are an object": (changed(files={"a.g3": 1}), ("files is an object", "must be a list")),
    "a file that is a text": (changed(files=["a.g3"]), ("files[0] is 'a.g3'", "path and size_bytes")),
    "a file without a size": (changed(files=[{"path": "a.g3"}]), ("files[0].size_bytes is missing",)),
    "a size that is a text": (file(size_bytes="1"), ("files[1].size_bytes '1' must be a whole number",)),
    "a size that is a fraction": (file(size_bytes=1.0), ("files[1].size_bytes 1.0 must be a whole number",)),
    "a size that is true": (file(size_bytes=True), ("files[1].size_bytes true must be a whole number",)),
    "a size that is no number": (file(size_bytes=float("nan")), ("files[1].size_bytes nan",)),
    "a negative size": (file(size_bytes=-1), ("files[1].size_bytes -1 must be",)),
    "a size that no disk has": (file(size_bytes=2**63), ("files[1].size_bytes", "5 TiB")),
    "a size without end": (file(size_bytes=10**5000), ("files[1].size_bytes a number of more than 38 digits",)),
    "an absolute path": (file(path="/etc/passwd"), ("files[1].path '/etc/passwd'", "absolute", "relative")),
    "a path out of the root": (file(path="a/../../b"), ("files[1].path 'a/../../b'", "'..'")),
    "an empty path": (file(path=""), ("files[1].path '' is refused: it is empty",)),
    "a path with an empty component": (file(path="a//b"), ("files[1].path 'a//b'", "empty component")),
    "a path that is a folder": (file(path="a/"), ("files[1].path 'a/'", "empty component")),
    "a path that is a number": (file(path=7), ("files[1].path 7 must be text",)),
    "a path with a NUL": (file(path="a\0b"), ("files[1].path 'a\\x00b'", "NUL")),
    "a path with half a character": (file(path="a\ud800"), ("files[1].path 'a\\ud800'", "surrogate")),
    "a path that no index takes": (file(path="n" * 3000), ("files[1].path 'nnn", "longer than 2,500 bytes")),
    "a checksum of another kind": (file(checksum="md5:" + "0" * 32), ("files[1].checksum 'md5:00", "xxh3-128")),
    "a checksum that is cut": (file(checksum="xxh3-128:00"), ("files[1].checksum 'xxh3-128:00'", "32 lower-case")),
    "an id that is no UUID": (file(id="7"), ("files[1].id '7' must be a UUID",)),
    "a file twice": (changed(files=[FILE, FILE]), ("files[1]", "'a.g3' stands twice")),
    "an id twice": (
        changed(
            files=[FILE | {"id": GOOD["executed_obs_unit"]}, FILE | {"path": "b", "id": GOOD["executed_obs_unit"]}]
        ),
        ("files[1]", f"the id {GOOD['executed_obs_unit']}", "'b'"),
    ),
    "a manifest out of the root": (without("files") | {"manifest": "../m"}, ("manifest '../m'", "'..'")),
    "an absolute manifest": (without("files") | {"manifest": "/m"}, ("manifest '/m'", "absolute")),
    "a manifest that is a list": (
        without("files") | {"manifest": ["m"]},
        ("manifest a list of 1 entry must be text",),
    ),
    "a start without a zone": (changed(started_at="2026-04-01T03:20:00"), ("started_at '2026", "with its zone")),
    "a start that is a number": (changed(started_at=1775013600), ("started_at 1775013600 must be a time",)),
    "a start that is no date": (changed(started_at="yesterday"), ("started_at 'yesterday' must be a time",)),
    "a start before all calendars": (changed(started_at="0001-01-01T00:00:00+23:00"), ("started_at", "must be")),
    "a start with a broken clock": (changed(started_at="1904-01-01T00:00:00Z"), ("started_at", "clock")),
    "an end before the start": (changed(finished_at="2026-04-01T03:19:59Z"), ("finished_at", "is before started_at")),
    "an end that is no date": (changed(finished_at=""), ("finished_at '' must be a time",)),
    "a template": (changed(instrument="{{ var.value.secret }}"), ("instrument '{{ var.value.secret }}'", "template")),
    "a template in a path": (file(path="a/{{ ds }}.g3"), ("files[1].path 'a/{{ ds }}.g3'", "template")),
    "a template statement": (changed(data_location="{% if 1 %}"), ("data_location '{% if 1 %}'", "template")),
    "the end of a template": (changed(manifest="a}}"), ("manifest 'a}}'", "template")),
    "a template in a time": (changed(finished_at="{{ ts }}"), ("finished_at '{{ ts }}'", "template")),
    "a template in an unknown key": (changed(note={"deep": ["{{ x }}"]}), ("note.deep[0] '{{ x }}'", "template")),
    "a template as a key": (changed(**{"{{ x }}": 1}), ("'{{ x }}'", "template")),
    "a NUL as a key": (changed(**{"\0": 1}), ("'\\x00'", "NUL")),
    "half a character as a key": (changed(**{"\udfff": 1}), ("'\\udfff'", "surrogate")),
    "half a character in a name": (changed(instrument="\ud800"), ("instrument", "surrogate")),
    "a name of a megabyte": (changed(instrument="x" * 10**6), ("instrument 'xxx", "must be a name")),
    "a key of a megabyte": (changed(**{"x" * 10**6: 1}), ("'xxx", "not a known key")),
    "what is nested without end": (changed(note=eval("[" * 90 + "]" * 90)), ("note", "nested")),
    "a million values": (changed(note=[0] * 10**6), ("more than 10,020 keys and values", "manifest")),
    "ten thousand files": (
        changed(files=[{"path": f"{number}.g3", "size_bytes": 1} for number in range(10_000)]),
        ("10,000 files inline", "500 allowed", "write a manifest"),
    ),
}

STRANGERS: dict[str, Bad] = {
    "an unknown instrument": (changed(instrument="alma"), ("instrument 'alma' is unknown", "primecam or chai")),
    "an unknown module": (changed(instrument_module="mod1"), ("instrument_module 'mod1' is unknown", "mod280")),
    "another instrument's module": (changed(instrument_module="lfa"), ("instrument_module 'lfa' is unknown", "mod280")),
    "an unknown location": (
        changed(data_location="mars_source"),
        ("data_location 'mars_source' is unknown", "ccat_source"),
    ),
    "a location that is no source": (
        changed(data_location="us_buffer"),
        ("data_location us_buffer", "writes to ccat_source"),
    ),
    "an instrument of others": (
        changed(instrument="chai", instrument_module="lfa"),
        ("'primecam' may not file for chai", "chai or admin may"),
    ),
}

__all__ = ["BAD_SHAPES", "GOOD", "STRANGERS", "Bad", "inline"]
