"""The topology file: every mistake is named, with its place."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from include.errors import BadInputError, TopologyError
from include.topology import LocationType, OperationKind, Policy, Topology, load_topology, parse_topology

FOLDER = Path(__file__).parent.parent / "include" / "topologies"
SANDBOX = (FOLDER / "sandbox.yaml").read_text()


def changed(change) -> str:
    """The sandbox's file after `change` of its content."""
    content = yaml.safe_load(SANDBOX)
    change(content)
    return yaml.safe_dump(content)


def at(*path: int | str, value: Any):
    """A change that puts `value` at `path`."""

    def change(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        content[path[-1]] = value

    return change


def without(*path: int | str):
    def change(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        del content[path[-1]]

    return change


def again(*path: int | str):
    """A change that appends a copy of a list's first entry."""

    def change(content: Any) -> None:
        for part in path:
            content = content[part]
        content.append(content[0])

    return change


SOURCE, BUFFER, COLOGNE_BUFFER, ARCHIVE, PROCESSING, US_BUFFER, US_ARCHIVE = (("data_locations", i) for i in range(7))
DISK = {"type": "disk", "root": "x"}

MISTAKES = {
    "no sites": (without("sites"), ["sites: Field required"]),
    "empty sites": (at("sites", value=[]), ["sites", "at least 1"]),
    "no hosts": (without("hosts"), ["hosts: Field required"]),
    "no locations": (without("data_locations"), ["data_locations: Field required"]),
    "key at the top": (at("sitess", value=[]), ["sitess: Extra inputs"]),
    "key of a site": (at("sites", 1, "nmae", value="x"), ["sites.1.nmae: Extra inputs"]),
    "key of a location": (at(*SOURCE, "rot", value="x"), ["data_locations.0.rot: Extra inputs"]),
    "key of a storage": (at(*SOURCE, "storage", "bucket", value="x"), ["data_locations.0.storage.disk.bucket"]),
    "key of the policy": (at("policy", "package_max_byte", value=1), ["policy.package_max_byte: Extra inputs"]),
    "name with underscore": (at("sites", 0, "short_name", value="cc_at"), ["sites.0.short_name: String should match"]),
    "name in capitals": (at(*BUFFER, "name", value="Buffer"), ["data_locations.1.name: String should match"]),
    "location type": (at(*BUFFER, "location_type", value="bufer"), ["data_locations.1.location_type", "'buffer'"]),
    "storage type": (at(*BUFFER, "storage", "type", value="tape"), ["data_locations.1.storage", "'tape'"]),
    "dots in a root": (at(*SOURCE, "storage", "root", value="a/../b"), ["must not contain '..'"]),
    "empty root": (at(*SOURCE, "storage", "root", value=""), ["data_locations.0.storage.disk.root"]),
    "no hosts of a location": (at(*SOURCE, "hosts", value=[]), ["data_locations.0.hosts", "at least 1"]),
    "unknown operation": (at(*SOURCE, "slots", value={"packging": 1}), ["data_locations.0.slots.packging"]),
    "zero slots": (at(*SOURCE, "slots", value={"packaging": 0}), ["data_locations.0.slots.packaging"]),
    "slots that do nothing": (
        at(*SOURCE, "slots", value={"archiving": 1}),
        ["data_locations.ccat_source: slots for archiving, which never runs at a source"],
    ),
    "text for a number": (at("policy", "archive_copies", value="two"), ["policy.archive_copies", "integer"]),
    "negative age": (at("policy", "bundle_max_age_seconds", value=-1), ["policy.bundle_max_age_seconds"]),
    "site twice": (again("sites"), ["sites: ccat stands twice"]),
    "host twice": (again("hosts"), ["hosts: ccat-instrument stands twice"]),
    "location twice": (again("data_locations"), ["data_locations: ccat_source stands twice"]),
    "instrument twice": (again("instruments"), ["instruments: primecam stands twice"]),
    "module twice": (again("instruments", 1, "modules"), ["instruments.chai.modules: lfa stands twice"]),
    "route twice": (
        at("routes", value=[{"from_location": "ccat_buffer", "to_location": "us_buffer"}] * 2),
        ["routes: ccat_buffer to site of us_buffer stands twice"],
    ),
    "host of no site": (at("hosts", 0, "site", value="mars"), ["hosts.ccat-instrument: there is no site mars"]),
    "location of no site": (at(*SOURCE, "site", value="mars"), ["data_locations.mars_source: there is no site mars"]),
    "location of no host": (at(*SOURCE, "hosts", value=["x"]), ["data_locations.ccat_source: there is no host x"]),
    "mounted on no host": (at(*SOURCE, "mounted_on", value=["x"]), ["data_locations.ccat_source: there is no host x"]),
    "disk on a far host": (
        at(*BUFFER, "mounted_on", value=["us"]),
        ["data_locations.ccat_buffer: host us is at us, but a disk is reached as a folder only within its site"],
    ),
    "disk in a disk": (
        at(*BUFFER, "storage", "root", value="ccat/source/buffer"),
        ["data_locations.ccat_buffer: its root ccat/source/buffer lies in that of ccat_source (ccat/source)"],
    ),
    "bucket of two archives": (
        at(*US_ARCHIVE, "storage", "bucket", value="cologne-archive"),
        ["data_locations.us_archive: its bucket cologne-archive is that of cologne_archive, too"],
    ),
    "archive on disk": (
        at(*ARCHIVE, "storage", value=DISK),
        ["data_locations.cologne_archive: a long_term_archive is"],
    ),
    "buffer on s3": (
        at(*BUFFER, "storage", value={"type": "s3", "bucket": "abc"}),
        ["data_locations.ccat_buffer: a long_term_archive is on s3, everything else on disk"],
    ),
    "instrument without source": (
        at("instruments", 0, "data_locations", value=["ccat_buffer", "nowhere"]),
        ["instruments.primecam: ccat_buffer is not a source", "instruments.primecam: nowhere is not a source"],
    ),
    "nobody files": (at("instruments", 0, "filed_by", value=[]), ["instruments.0.filed_by", "at least 1"]),
    "route to no buffer": (
        at("routes", value=[{"from_location": "ccat_buffer", "to_location": "us_archive"}]),
        ["routes.ccat_buffer to us_archive: us_archive is not a buffer"],
    ),
    "source without buffer": (without(*BUFFER), ["sites.ccat: needs a buffer"]),
    "archive without buffer": (without(*US_BUFFER), ["sites.us: needs a buffer"]),
    "too many archive sites": (
        at("policy", "archive_sites", value=3),
        ["policy.archive_sites: 3 asked for, but only 2 sites with", "nothing could ever be deleted"],
    ),
    "too many archive copies": (at("policy", "archive_copies", value=3), ["policy.archive_copies: 3 asked for"]),
    "one copy though there are two archives": (
        at("policy", "archive_copies", value=1),
        ["policy.archive_copies: 1 asked for, but there are 2 archives: one copy is enough only where there is one"],
    ),
    "one site though there are two": (
        at("policy", "archive_sites", value=1),
        ["policy.archive_sites: 1 asked for, but 2 sites have an archive"],
    ),
    "too few copies for a rule": (
        at("policy", "retention", value=[{"keep_days": 1}, {"at": "source", "archive_copies": 1}]),
        ["policy.retention.1 (rule 2).archive_copies: 1 asked for"],
    ),
    "a rule at no place": (
        at("policy", "retention", value=[{"at": "ccat_sorce"}]),
        ["policy.retention.0 (rule 1): at: ccat_sorce is neither source, buffer, processing nor a location"],
    ),
    "a rule at an archive": (
        at("policy", "retention", value=[{"at": "us_archive"}]),
        ["policy.retention.0 (rule 1): at: us_archive is a long_term_archive: nothing is ever deleted there"],
    ),
    "a rule at archives": (
        at("policy", "retention", value=[{"at": "long_term_archive"}]),
        ["policy.retention.0", "nothing is ever deleted there"],
    ),
    "a rule about no instrument": (
        at("policy", "retention", value=[{"instrument": "primcam"}]),
        ["policy.retention.0 (rule 1): instrument: there is no instrument primcam, but primecam, chai"],
    ),
    "a rule about another instrument's module": (
        at("policy", "retention", value=[{"instrument": "chai", "module": "mod280"}]),
        ["policy.retention.0 (rule 1): module: there is no module mod280, but lfa, hfa"],
    ),
    "a rule that never counts": (
        at("policy", "retention", value=[{"at": "source"}, {"at": "source", "module": "lfa", "keep_days": 9}]),
        ["policy.retention.1 (rule 2): rule 1 matches all that it does and stands before it, so it never counts"],
    ),
    "days below nothing": (
        at("policy", "retention", value=[{"keep_days": -1}]),
        ["policy.retention.0.keep_days: Input should be greater"],
    ),
    "no such release": (
        at("policy", "retention", value=[{"release": "by_magic"}]),
        ["policy.retention.0.release", "'by_pressure'"],
    ),
    "key of a rule": (at("policy", "retention", value=[{"keep": 1}]), ["policy.retention.0.keep: Extra inputs"]),
    "watermarks that fall": (
        at(*BUFFER, "watermarks", value={"low": 0.9, "high": 0.8}),
        ["data_locations.1.watermarks", "low, high and critical must rise; they are 0.9, 0.8, 0.95"],
    ),
    "a brake of more than all": (at("policy", "brake", value={"share": 1.5}), ["policy.brake.share"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_place(mistake: str) -> None:
    change, words = MISTAKES[mistake]
    with pytest.raises(TopologyError) as caught:
        parse_topology(changed(change), where="mine.yaml")
    message = str(caught.value)
    assert message.startswith("mine.yaml has ")
    for word in words:
        assert word in message


def test_all_mistakes_are_named_at_once() -> None:
    def change(content: Any) -> None:
        at("sites", 0, "nmae", value="x")(content)
        at("policy", "archive_copies", value="two")(content)
        at(*SOURCE, "hosts", value=[])(content)

    with pytest.raises(TopologyError) as caught:
        parse_topology(changed(change), where="mine.yaml")
    assert "mine.yaml has 3 mistakes:" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 4


def test_all_that_does_not_fit_together_is_named_at_once() -> None:
    def change(content: Any) -> None:
        at("hosts", 0, "site", value="mars")(content)
        again("sites")(content)

    with pytest.raises(TopologyError, match="there is no site mars") as caught:
        parse_topology(changed(change), where="mine.yaml")
    assert "sites: ccat stands twice" in str(caught.value)
    assert "mine.yaml has 4 mistakes:" in str(caught.value), "two disks are far from their host, too"


def test_the_line_is_that_of_the_mistake() -> None:
    text = SANDBOX.replace("bundle_max_age_seconds: 2", "bundle_max_age_seconds: soon")
    line = 1 + next(i for i, line in enumerate(text.splitlines()) if "soon" in line)
    with pytest.raises(TopologyError, match=rf"line {line}, policy\.bundle_max_age_seconds"):
        parse_topology(text, where="mine.yaml")


@pytest.mark.parametrize("text", ["", "# only a comment", "- a\n- list", "a word", "42"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(TopologyError, match="mine.yaml must be a mapping with sites"):
        parse_topology(text, where="mine.yaml")


@pytest.mark.parametrize("text", ["a: [", "\tsites: 1", "a: &x [*y]", "a: !!python/object:os.system {}"])
def test_what_is_not_yaml_is_refused(text: str) -> None:
    with pytest.raises(TopologyError, match=r"mine\.yaml is not YAML: (?s:.*)line 1"):
        parse_topology(text, where="mine.yaml")


@pytest.mark.parametrize(
    ("text", "key"),
    [(SANDBOX + "\nsites: []\n", "sites"), (SANDBOX.replace("site: ccat\n", "site: ccat\n    site: us\n", 1), "site")],
)
def test_a_key_that_stands_twice_does_not_quietly_win(text: str, key: str) -> None:
    assert text != SANDBOX
    with pytest.raises(TopologyError, match=rf"the key '{key}' stands twice(?s:.*)line \d+"):
        parse_topology(text, where="mine.yaml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"none\.yaml cannot be read .*DTS_TOPOLOGY"):
        load_topology(tmp_path / "none.yaml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TopologyError, match=r"odd\.yaml cannot be read"):
        load_topology(tmp_path / "odd.yaml")


def test_the_hash_is_that_of_the_content() -> None:
    topology = parse_topology(SANDBOX, where="sandbox.yaml")
    respaced = parse_topology("# another comment\n" + yaml.safe_dump(yaml.safe_load(SANDBOX)), where="mine.yaml")
    other = parse_topology(changed(at("policy", "attempts_max", value=3)), where="mine.yaml")
    assert topology.sha256 == respaced.sha256
    assert topology.sha256 != other.sha256
    assert len(topology.sha256) == 64


def test_a_changed_copy_has_a_hash_and_archives_of_its_own() -> None:
    topology = parse_topology(SANDBOX, where="sandbox.yaml")
    before = (topology.sha256, topology.archive_sites)
    copy = topology.model_copy(update={"data_locations": topology.data_locations[:4]})
    assert (copy.sha256, copy.archive_sites) != before
    assert copy.archive_sites == ("cologne",)


def test_every_topology_here_is_valid_and_has_two_archives() -> None:
    files = sorted(FOLDER.glob("*.yaml"))
    assert [file.name for file in files] == ["ccat.yaml", "sandbox.yaml"]
    for file in files:
        topology = load_topology(file)
        assert topology.archive_sites == ("cologne", "us")


@pytest.fixture
def ccat() -> Topology:
    return load_topology(FOLDER / "ccat.yaml")


def test_at_the_telescope_leases_live_a_quarter_of_an_hour(ccat: Topology) -> None:
    assert {host.lease_seconds for host in ccat.hosts if host.site == "ccat"} == {900}
    assert {host.lease_seconds for host in ccat.hosts if host.site == "cologne"} == {120}


def test_each_instrument_of_the_telescope_has_its_own_source(ccat: Topology) -> None:
    assert {(i.name, i.data_locations) for i in ccat.instruments} == {
        ("primecam", ("ccat_primecam",)),
        ("chai", ("ccat_chai",)),
    }
    hosts = [location.hosts for location in ccat.of_type(LocationType.SOURCE)]
    assert len(set(hosts)) == 2


def test_the_policy_of_the_telescope_is_two_copies_at_two_sites(ccat: Topology) -> None:
    policy = ccat.policy
    assert (policy.archive_copies, policy.archive_sites) == (2, 2)
    assert policy.package_max_bytes == 50 * 10**9
    assert policy.deletion_grace_seconds == 7 * 86400


def test_source_hosts_reach_the_buffer_as_a_folder(ccat: Topology) -> None:
    buffer = ccat.first_buffer("ccat")
    for source in ccat.of_type(LocationType.SOURCE):
        assert all(buffer.is_disk_on(host) for host in source.hosts)
    assert not buffer.is_disk_on("cologne-buffer")


def test_an_archive_is_a_disk_on_nobody(ccat: Topology) -> None:
    assert not ccat.location("cologne_archive").is_disk_on("cologne-buffer")


def test_transfers_land_where_a_route_says_else_in_the_first_buffer() -> None:
    def change(content: Any) -> None:
        second = content["data_locations"][2] | {"name": "reserve", "storage": DISK | {"root": "r"}, "priority": 200}
        content["data_locations"].append(second)
        content["routes"] = [{"from_location": "us_buffer", "to_location": "cologne_reserve"}]

    topology = parse_topology(changed(change), where="mine.yaml")
    assert topology.destination(origin="ccat_buffer", site="cologne").full_name == "cologne_buffer"
    assert topology.destination(origin="us_buffer", site="cologne").full_name == "cologne_reserve"
    assert topology.destination(origin="us_buffer", site="us").full_name == "us_buffer"


def test_what_is_not_there_is_named_with_what_is() -> None:
    topology = parse_topology(SANDBOX, where="sandbox.yaml")
    with pytest.raises(BadInputError, match="no location 'mars_buffer'.*ccat_source, ccat_buffer"):
        topology.location("mars_buffer")
    with pytest.raises(BadInputError, match="no host 'mars'.*ccat-instrument"):
        topology.host("mars")
    with pytest.raises(BadInputError, match="site mars has no buffer"):
        topology.first_buffer("mars")


def test_every_kind_of_operation_can_be_given_slots() -> None:
    text = changed(at(*ARCHIVE, "slots", value={"archiving": 7}))
    slots = parse_topology(text, where="mine.yaml").location("cologne_archive").slots
    assert slots == {OperationKind.ARCHIVING: 7}


def with_route(**keys: str) -> str:
    return changed(at("routes", value=[{"from_location": "ccat_buffer", "to_location": "cologne_buffer"} | keys]))


def with_routes(*routes: dict[str, object]) -> str:
    return changed(at("routes", value=list(routes)))


DIRECT = {"from_location": "ccat_buffer", "to_location": "us_archive", "moved_by": "direct"}


@pytest.mark.parametrize("origin", ["ccat_buffer", "us_archive"])
def test_a_direct_route_leads_into_an_archive_and_leaves_the_buffers_as_they_are(origin):
    onwards = DIRECT | {"from_location": origin, "to_location": "cologne_archive"}
    topology = parse_topology(with_routes(DIRECT, onwards), where="it")
    assert topology.destination(origin="ccat_buffer", site="us").full_name == "us_buffer"
    assert topology.direct_sites("ccat_buffer") >= {"us"}
    with pytest.raises(TopologyError, match="cologne_buffer is not a long_term_archive, which moved_by: direct needs"):
        parse_topology(with_route(moved_by="direct"), where="it")


def test_what_leaves_by_direct_routes_must_come_to_as_many_archives_as_policy_asks_for():
    told = (
        "what leaves ccat_buffer goes straight to us_archive and nowhere else, but policy asks for 2 copies at 2 sites"
    )
    with pytest.raises(TopologyError, match=told):
        parse_topology(with_routes(DIRECT), where="it")
    back = DIRECT | {"from_location": "us_archive", "to_location": "us_archive"}
    with pytest.raises(TopologyError, match="it leads to where it begins"):
        parse_topology(with_routes(DIRECT, back), where="it")
    onwards = DIRECT | {"from_location": "cologne_buffer", "to_location": "us_archive"}
    assert parse_topology(with_routes(onwards), where="it").direct_sites("cologne_buffer") == {"us"}


def test_ways_that_cannot_be_combined_are_named():
    with pytest.raises(TopologyError, match="compression: zstd needs moved_by: pull"):
        parse_topology(with_route(moved_by="push", compression="zstd"), where="it")
    hours = {"days": "all", "from": "00:00", "to": "24:00", "mbit_per_second": 100}
    with pytest.raises(TopologyError, match="timetable"):
        parse_topology(with_routes(DIRECT | {"timetable": [hours]}), where="it")


def test_a_route_leads_to_another_site():
    with pytest.raises(TopologyError, match="both ends are at ccat"):
        parse_topology(with_route(to_location="ccat_buffer"), where="it")


def test_a_way_that_nothing_is_said_about_is_pulled_and_not_compressed():
    route = parse_topology(SANDBOX, where="it").route(origin="ccat_buffer", destination="cologne_buffer")
    assert (route.moved_by, route.compression, route.timetable) == ("pull", "none", ())


def test_one_archive_copy_is_enough_where_there_is_one_archive_and_the_topology_says_so():
    def change(content: Any) -> None:
        content["data_locations"] = [each for each in content["data_locations"] if each["site"] != "us"]
        content["hosts"] = [each for each in content["hosts"] if each["site"] != "us"]

    with pytest.raises(TopologyError, match="policy.archive_copies: 2 asked for, but there are fewer archives"):
        parse_topology(changed(change), where="it")

    def said(content: Any) -> None:
        change(content)
        content["policy"] |= {"archive_copies": 1, "archive_sites": 1}

    assert parse_topology(changed(said), where="it").policy.archive_copies == 1


def test_what_a_location_and_a_policy_do_not_say_is_careful():
    topology = load_topology(FOLDER / "ccat.yaml")
    marks = topology.location("us_buffer").watermarks
    assert (marks.low, marks.high, marks.critical) == (0.70, 0.85, 0.95)
    assert (Policy().brake.share, Policy().brake.bytes) == (0.25, None)
    assert (Policy().archive_copies, Policy().archive_sites, Policy().deletion_grace_seconds) == (2, 2, 7 * 86400)
