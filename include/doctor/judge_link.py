"""Judge the way to a peer. Pure."""

from include.doctor import words
from include.doctor.finding import Area, Finding, Verdict, not_measured
from include.doctor.forecast import Line, one_stream
from include.doctor.kernel import Kernel
from include.doctor.limits import DAY_SECONDS
from include.doctor.rates import Rate
from include.doctor.sftp_speed import PeerSpeed

AVERAGE_PART = 1 / 3
"""An average day brings a third of a peak day (2.7 of 8 TB)."""
LOGIN_TRIPS, LOGIN_SECONDS = 16, 0.7
"""A connect takes about 14 round trips (3.4 s at 250 ms), and the server's processor some tenths of a second."""


def judge_peer(peer: str, found: PeerSpeed, *, kernel: Kernel, line: Line, need: float) -> list[Finding]:
    """Return the findings about one peer that is read. `need` is bytes a second that a peak day takes."""
    findings = judge_connecting(peer, found)
    one, many = f"{peer}, one connection", f"{peer}, many connections"
    if found.one is None:
        why = found.why_not or "nothing came"
        advice = "`--write-test` puts a test file there, reads it and removes it." if found.why_not else ""
        return [*findings, *(not_measured(Area.LINK, what, why=why, advice=advice) for what in (one, many))]
    findings.append(_one(one, found.one, read=found.read, kernel=kernel, line=line))
    if found.many is None:
        return [*findings, not_measured(Area.LINK, many, why="no second connection could be made")]
    findings.append(speed(Area.LINK, many, found.many, need=need, how=f"with {found.streams}"))
    if found.turned_away:
        findings.append(_turned_away(peer, found))
    return findings


def judge_connecting(peer: str, found: PeerSpeed) -> list[Finding]:
    """Return the findings about reaching a peer, whatever is done there then."""
    return [_round_trip(peer, found.round_trip_seconds), _connect(peer, found), _cipher(peer, found.cipher)]


def speed(
    area: Area, what: str, found: Rate, *, need: float, how: str, advice: str = "", is_one_of_many: bool = False
) -> Finding:
    """Judge a speed by what a peak day takes, and an average one. One of many connections cannot be bad."""
    rate = found.bytes_per_second
    day = words.size(need * DAY_SECONDS)
    verdict, comparison = Verdict.GOOD, f"{day} a day need {words.rate(need)}"
    if rate < need:
        enough = is_one_of_many or rate >= need * AVERAGE_PART
        verdict = Verdict.COULD_BE_BETTER if enough else Verdict.BAD
        comparison = f"{day}, a peak day, would take {words.length(need * DAY_SECONDS / max(rate, 1))}"
        advice = (
            advice or "See what the kernel's settings give; then ask who else uses the line, and what it is sold as."
        )
    return Finding(
        area=area,
        what=what,
        verdict=verdict,
        sentence=f"{words.rate(rate)} {how}; {comparison}.",
        advice="" if verdict is Verdict.GOOD else advice,
        value=rate / 1e6,
        unit="MB/s",
    )


def _round_trip(peer: str, seconds: float) -> Finding:
    return Finding(
        area=Area.LINK,
        what=f"{peer}, round trip",
        verdict=Verdict.GOOD,
        sentence=f"{words.length(seconds)} for an SFTP request that touches nothing.",
        value=seconds * 1000,
        unit="ms",
    )


def _connect(peer: str, found: PeerSpeed) -> Finding:
    expected = LOGIN_TRIPS * found.round_trip_seconds + LOGIN_SECONDS
    slow = found.connect_seconds > expected
    sentence = f"{words.length(found.connect_seconds)} for TCP, SSH and SFTP"
    return Finding(
        area=Area.LINK,
        what=f"{peer}, connect",
        verdict=Verdict.COULD_BE_BETTER if slow else Verdict.GOOD,
        sentence=f"{sentence}; {words.length(expected)} would do." if slow else f"{sentence}.",
        advice="Set `UseDNS no` and `GSSAPIAuthentication no` in the server's sshd_config; is its processor busy?"
        if slow
        else "",
        value=found.connect_seconds,
        unit="s",
    )


def _cipher(peer: str, cipher: str) -> Finding:
    gcm = "gcm" in cipher
    return Finding(
        area=Area.LINK,
        what=f"{peer}, cipher",
        verdict=Verdict.GOOD if gcm else Verdict.COULD_BE_BETTER,
        sentence=f"{cipher}."
        if gcm
        else f"{cipher}: the server offers no GCM, which takes half of the processor's time or less.",
        advice="" if gcm else "Add aes128-gcm@openssh.com to `Ciphers` in the server's sshd_config.",
    )


def _one(what: str, found: Rate, *, read: str, kernel: Kernel, line: Line) -> Finding:
    rate = found.bytes_per_second
    sentence = f"{words.rate(rate)} (read: {read})"
    expected = None
    if line.is_far and kernel.buffer_bytes is not None and kernel.control is not None:
        expected = one_stream(line, buffer_bytes=kernel.buffer_bytes, control=kernel.control)
        sentence += f"; {words.about(expected)} are expected with this kernel's settings"
    slow = expected is not None and rate < expected / 2
    return Finding(
        area=Area.LINK,
        what=what,
        verdict=Verdict.COULD_BE_BETTER if slow else Verdict.GOOD,
        sentence=f"{sentence}{': less than half of it' if slow else ''}.",
        advice="The other end's settings decide how fast it sends: run `dts doctor` there. Else it is line or disk."
        if slow
        else "",
        value=rate / 1e6,
        unit="MB/s",
    )


def _turned_away(peer: str, found: PeerSpeed) -> Finding:
    wanted = found.streams + found.turned_away
    return Finding(
        area=Area.LINK,
        what=f"{peer}, connections",
        verdict=Verdict.COULD_BE_BETTER,
        sentence=f"{found.turned_away} of {wanted} could not be made: the server or the line turned them away.",
        advice="Set `MaxStartups 100` and `MaxSessions 100` in the server's sshd_config.",
        value=found.turned_away,
    )
