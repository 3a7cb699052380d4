"""Thresholds and sentences, to the letter."""

from dataclasses import replace

import pytest

from include.doctor.clock import Offset
from include.doctor.filesystem import Filesystem
from include.doctor.finding import Finding, Verdict, is_fit
from include.doctor.forecast import Line
from include.doctor.judge_archive import judge_archive
from include.doctor.judge_clock import judge_offset
from include.doctor.judge_disk import judge_reach, judge_space
from include.doctor.judge_kernel import judge_kernel
from include.doctor.judge_link import judge_peer
from include.doctor.judge_programs import judge_programs
from include.doctor.kernel import Kernel
from include.doctor.limits import Limits
from include.doctor.ops_db import OpsDbState, judge_ops_db
from include.doctor.programs import Programs
from include.doctor.rates import Rate
from include.doctor.s3_speed import S3Speed
from include.doctor.sftp_speed import PeerSpeed
from include.topology import LocationType, Policy, load_topology
from tests.observatory import SANDBOX

MB = 1_000_000
GB = 1000 * MB
OCEAN, NEAR = Line(0.25), Line(0.0004)
NEED = Limits().need
STOCK = Kernel(
    receive_buffer_bytes=6_291_456,
    send_buffer_bytes=4_194_304,
    receive_asked_bytes=212_992,
    send_asked_bytes=212_992,
    control="cubic",
    controls=("reno", "cubic"),
    window_scaling=True,
    slow_start_after_idle=True,
    mtu_probing=0,
)
TUNED = Kernel(
    receive_buffer_bytes=67_108_864,
    send_buffer_bytes=67_108_864,
    receive_asked_bytes=67_108_864,
    send_asked_bytes=67_108_864,
    control="bbr",
    controls=("reno", "cubic", "bbr"),
    window_scaling=True,
    slow_start_after_idle=False,
    mtu_probing=1,
)


def of(findings: list[Finding], what: str) -> Finding:
    return next(finding for finding in findings if finding.what == what)


def verdicts(findings: list[Finding]) -> set[Verdict]:
    return {finding.verdict for finding in findings}


def test_stock_linux_at_an_ocean_is_told_every_line_to_change_and_what_it_gives():
    findings = judge_kernel(STOCK, line=OCEAN, where="ccat_buffer")
    assert of(findings, "one connection, forecast").sentence == (
        "ccat_buffer is 250 ms away: one connection can carry about 2.5 MB/s now if the other end is set alike"
        " (buffers of 4.2 MB, cubic), 32 of them about 80 MB/s; with 64 MB buffers and bbr at both ends one carries"
        " about 110 MB/s."
    )
    assert [line for finding in findings for line in finding.sysctl] == [
        "net.ipv4.tcp_rmem = 4096 131072 67108864",
        "net.ipv4.tcp_wmem = 4096 65536 67108864",
        "net.core.rmem_max = 67108864",
        "net.core.wmem_max = 67108864",
        "net.core.default_qdisc = fq",
        "net.ipv4.tcp_congestion_control = bbr",
        "net.ipv4.tcp_slow_start_after_idle = 0",
        "net.ipv4.tcp_mtu_probing = 1",
    ]
    assert of(findings, "congestion control").advice.startswith("`modprobe tcp_bbr`")
    assert of(findings, "window scaling").verdict is Verdict.GOOD
    assert is_fit(findings)


def test_a_tuned_host_has_nothing_to_change():
    findings = judge_kernel(TUNED, line=OCEAN, where="ccat_buffer")
    assert verdicts(findings) == {Verdict.GOOD}
    assert not any(finding.sysctl or finding.advice for finding in findings)
    said = of(findings, "one connection, forecast").sentence
    assert said == "ccat_buffer is 250 ms away: one connection can carry about 110 MB/s now."


def test_the_same_stock_host_is_good_where_nothing_is_far():
    findings = judge_kernel(STOCK, line=NEAR, where="ccat_buffer")
    assert verdicts(findings) == {Verdict.GOOD}


def test_the_wanted_buffer_grows_with_the_line():
    faster = Line(0.25, bytes_per_second=1.25e9)
    assert (
        "tcp_rmem = 4096 131072 625000000"
        in of(judge_kernel(TUNED, line=faster, where="x"), "receive buffer (tcp_rmem)").sysctl[0]
    )


@pytest.mark.parametrize("line", [OCEAN, NEAR])
def test_no_window_scaling_is_bad_everywhere(line):
    findings = judge_kernel(replace(TUNED, window_scaling=False), line=line, where="x")
    assert of(findings, "window scaling").verdict is Verdict.BAD
    assert not is_fit(findings)


def test_without_window_scaling_a_long_line_ends_at_65_kb_a_round_trip():
    findings = judge_kernel(replace(TUNED, window_scaling=False), line=OCEAN, where="x")
    assert of(findings, "one connection, forecast").value == pytest.approx(65_535 / 0.25 / MB)


def test_a_kernel_that_says_nothing_is_not_judged():
    silent = Kernel(None, None, None, None, None, (), None, None, None)
    assert verdicts(judge_kernel(silent, line=OCEAN, where="x")) == {Verdict.NOT_MEASURED}


def rate(megabytes: float) -> Rate:
    return Rate(megabytes * MB, 10.0, int(megabytes * MB * 10))


def peer(**changes: object) -> PeerSpeed:
    measured = PeerSpeed(
        0.25, 3.4, "aes128-gcm@openssh.com", read="a.tar", one=rate(4), many=rate(93), streams=31, turned_away=0
    )
    return replace(measured, **changes)


def link(found: PeerSpeed, kernel: Kernel = STOCK) -> list[Finding]:
    return judge_peer("ccat_buffer", found, kernel=kernel, line=OCEAN, need=NEED)


def test_a_link_that_carries_a_peak_day_is_good():
    findings = link(peer())
    assert verdicts(findings) == {Verdict.GOOD}
    assert of(findings, "ccat_buffer, many connections").sentence == ("93.0 MB/s with 31; 8 TB a day need 92.6 MB/s.")
    assert of(findings, "ccat_buffer, connect").sentence == "3.4 s for TCP, SSH and SFTP."


@pytest.mark.parametrize(
    ("megabytes", "verdict"),
    [(92.6, Verdict.GOOD), (92.5, Verdict.COULD_BE_BETTER), (31, Verdict.COULD_BE_BETTER), (30.8, Verdict.BAD)],
)
def test_many_connections_are_judged_by_a_peak_day_and_an_average_one(megabytes, verdict):
    assert of(link(peer(many=rate(megabytes))), "ccat_buffer, many connections").verdict is verdict


def test_a_link_too_slow_says_how_long_a_peak_day_takes():
    found = of(link(peer(many=rate(23.148))), "ccat_buffer, many connections")
    assert found.sentence == "23.1 MB/s with 31; 8 TB, a peak day, would take 4.0 days."
    assert found.advice


def test_one_connection_at_less_than_half_of_the_forecast_points_to_the_other_end():
    found = of(link(peer(one=rate(50)), TUNED), "ccat_buffer, one connection")
    assert found.verdict is Verdict.COULD_BE_BETTER
    assert found.sentence == (
        "50.0 MB/s (read: a.tar); 110 MB/s are expected with this kernel's settings: less than half of it."
    )
    assert of(link(peer(one=rate(57)), TUNED), "ccat_buffer, one connection").verdict is Verdict.GOOD


def test_a_cipher_without_gcm_and_a_slow_login_and_connections_turned_away_are_told():
    findings = link(peer(cipher="aes128-ctr", connect_seconds=4.8, turned_away=3))
    assert of(findings, "ccat_buffer, cipher").verdict is Verdict.COULD_BE_BETTER
    assert of(findings, "ccat_buffer, connect").sentence == "4.8 s for TCP, SSH and SFTP; 4.7 s would do."
    assert of(findings, "ccat_buffer, connections").sentence.startswith("3 of 34 could not be made")


def test_a_peer_with_nothing_to_read_says_so_and_names_the_way_out():
    found = of(link(peer(one=None, many=None, why_not="no file")), "ccat_buffer, one connection")
    assert (found.verdict, found.sentence) == (Verdict.NOT_MEASURED, "no file")
    assert "--write-test" in found.advice


def disk(*, total: float, free: float, kind: str = "ext4") -> Filesystem:
    return Filesystem(kind, "/dev/sda", "/buffer", total_bytes=int(total), free_bytes=int(free))


@pytest.mark.parametrize(
    ("total", "free", "verdict"),
    [
        (64e12, 8e12, Verdict.GOOD),
        (63e12, 60e12, Verdict.COULD_BE_BETTER),
        (64e12, 7.9e12, Verdict.BAD),
    ],
)
def test_space_is_judged_by_what_the_policy_keeps_and_a_day_more(total, free, verdict):
    found = judge_space("x", LocationType.BUFFER, filesystem=disk(total=total, free=free), policy=Policy(), need=NEED)
    assert found.verdict is verdict


def test_the_sentence_about_space():
    found = judge_space("x", LocationType.BUFFER, filesystem=disk(total=64e12, free=4e12), policy=Policy(), need=NEED)
    assert found.sentence == (
        "4 TB of 64 TB free: 12.0 hours at 8 TB a day; the policy keeps a copy for 7 days after it could have gone,"
        " and 1 day is for a line that is down."
    )
    assert found.advice == "Free 4 TB, enlarge it, or shorten deletion_grace_seconds."


def test_how_much_is_staged_is_up_to_people():
    found = judge_space("x", LocationType.PROCESSING, filesystem=disk(total=9, free=1), policy=Policy(), need=NEED)
    assert found.verdict is Verdict.GOOD


def test_a_disk_in_memory_is_bad():
    assert judge_reach("x", "/x", filesystem=disk(total=1, free=1, kind="tmpfs"), user="me").verdict is Verdict.BAD
    assert judge_reach("x", "/x", filesystem=disk(total=1, free=1), user="me").sentence == (
        "/x is on ext4 (/dev/sda, mounted at /buffer), writable by me."
    )


@pytest.mark.parametrize(
    ("seconds", "uncertain", "verdict"),
    [
        (0.9, 0.0, Verdict.GOOD),
        (-1.4, 0.5, Verdict.GOOD),
        (1.6, 0.5, Verdict.COULD_BE_BETTER),
        (-61.0, 0.5, Verdict.BAD),
    ],
)
def test_a_clock_is_judged_by_what_is_certain(seconds, uncertain, verdict):
    assert judge_offset("ops-db", Offset(seconds, uncertain)).verdict is verdict


def test_which_clock_is_ahead():
    assert judge_offset("ops-db", Offset(3.0, 0.002)).sentence == "this clock is 3.0 s behind it (±2.0 ms)."
    assert judge_offset("ops-db", Offset(-3.0, 0.002)).sentence == "this clock is 3.0 s ahead of it (±2.0 ms)."


def test_programs():
    good = Programs((3, 11, 2), "OpenSSL 4", "OpenSSL 3", "2.24", has_aes=True, open_files=4096)
    assert verdicts(judge_programs(good)) == {Verdict.GOOD}
    poor = replace(good, python=(3, 10, 9), has_aes=False, open_files=1024)
    assert [finding.verdict for finding in judge_programs(poor)] == [
        Verdict.BAD, Verdict.GOOD, Verdict.COULD_BE_BETTER, Verdict.COULD_BE_BETTER,
    ]  # fmt: skip
    assert of(judge_programs(replace(good, open_files=256)), "open files").verdict is Verdict.BAD
    assert of(judge_programs(replace(good, open_files=-1)), "open files").verdict is Verdict.GOOD


def test_ops_db_must_have_this_schema_and_this_topology():
    topology = load_topology(SANDBOX)
    state = OpsDbState(Offset(0, 0), 0.001, "0002", "0002", topology.sha256)
    assert verdicts(judge_ops_db(state, topology=topology)) == {Verdict.GOOD}
    other = judge_ops_db(replace(state, revision="0001", applied="abc"), topology=topology)
    assert of(other, "schema").sentence == "0001, but this version needs 0002."
    assert of(other, "topology").sentence == (f"this host's file has {topology.sha256[:12]}, but abc was applied.")
    assert [finding.verdict for finding in other] == [Verdict.GOOD, Verdict.BAD, Verdict.BAD]


def test_an_object_left_behind_in_an_archive_is_bad():
    findings = judge_archive("a", S3Speed(rate(200), rate(200), left_behind="dts-doctor/1: no"), need=NEED)
    assert [finding.verdict for finding in findings] == [Verdict.GOOD, Verdict.GOOD, Verdict.BAD]
