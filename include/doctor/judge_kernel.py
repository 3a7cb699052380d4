"""Judge the kernel's settings by the longest line that this host is at. Pure."""

from include.doctor import words
from include.doctor.finding import Area, Finding, Verdict, not_measured
from include.doctor.forecast import MOST_STREAMS, Line, many_streams, one_stream
from include.doctor.kernel import Kernel

SYSCTL_FILE = "/etc/sysctl.d/90-dts.conf"
WANTED_BYTES = 64 * 1024 * 1024
LEAST_BYTES = 64_000_000
TINY_BYTES = 1_000_000
STOCK_BYTES = 6_291_456
NEAR = "over so short a way it does not matter."
UNREADABLE = "the kernel does not say (no Linux, or a container that hides it)"


def judge_kernel(kernel: Kernel, *, line: Line, where: str) -> list[Finding]:
    """Return a finding for each setting, and the forecast. `where` says what line it is: `to ccat_buffer`."""
    return [
        _buffer("receive buffer (tcp_rmem)", kernel.receive_buffer_bytes, name="rmem", first="4096 131072", line=line),
        _buffer("send buffer (tcp_wmem)", kernel.send_buffer_bytes, name="wmem", first="4096 65536", line=line),
        _asked("rmem_max", kernel.receive_asked_bytes, line=line),
        _asked("wmem_max", kernel.send_asked_bytes, line=line),
        _control(kernel, line=line),
        _scaling(kernel.window_scaling),
        _switch(
            "slow start after idle",
            kernel.slow_start_after_idle,
            wanted=False,
            line=line,
            harm="a kept connection begins anew after each pause, and takes seconds to fill a long line.",
            advice="Switch it off.",
            setting="tcp_slow_start_after_idle",
        ),
        _switch(
            "MTU probing",
            kernel.mtu_probing,
            wanted=True,
            line=line,
            harm="where a router on the way swallows large packets without a word, a connection hangs for ever.",
            advice="Let it probe when packets vanish.",
            setting="tcp_mtu_probing",
        ),
        forecast(kernel, line=line, where=where),
    ]


def wanted_buffer(line: Line) -> int:
    """Return the buffer for one connection to fill the line: twice what it holds, at least 64 MiB."""
    return max(WANTED_BYTES, int(2 * line.held_bytes))


def forecast(kernel: Kernel, *, line: Line, where: str) -> Finding:
    """Say what one connection can carry now, and what it could with the settings changed."""
    what = "one connection, forecast"
    buffer = kernel.buffer_bytes
    if buffer is None or kernel.control is None:
        return not_measured(Area.KERNEL, what, why=UNREADABLE)
    distance = words.length(line.round_trip_seconds)
    if not line.is_far:
        return Finding(
            area=Area.KERNEL,
            what=what,
            verdict=Verdict.GOOD,
            sentence=f"{where} is {distance} away: the kernel's settings do not limit a connection there.",
        )
    now = one_stream(line, buffer_bytes=buffer, control=kernel.control)
    then = one_stream(line, buffer_bytes=wanted_buffer(line), control="bbr")
    together = many_streams(line, buffer_bytes=buffer, control=kernel.control)
    sentence = f"{where} is {distance} away: one connection can carry about {words.about(now)} now"
    if now > 0.9 * then:
        return Finding(
            area=Area.KERNEL, what=what, verdict=Verdict.GOOD, sentence=f"{sentence}.", value=now / 1e6, unit="MB/s"
        )
    return Finding(
        area=Area.KERNEL,
        what=what,
        verdict=Verdict.COULD_BE_BETTER,
        sentence=f"{sentence} if the other end is set alike (buffers of {words.size(buffer)}, {kernel.control}),"
        f" {MOST_STREAMS} of them about {words.about(together)}; with {_mega(wanted_buffer(line))} buffers and bbr at"
        f" both ends one carries about {words.about(then)}.",
        advice=f"Change the settings here and at the other end ({where}): the sender's decide how fast it sends.",
        value=now / 1e6,
        unit="MB/s",
    )


def _buffer(what: str, found: int | None, *, name: str, first: str, line: Line) -> Finding:
    if found is None:
        return not_measured(Area.KERNEL, what, why=UNREADABLE)
    wanted = wanted_buffer(line)
    fact = f"a connection's grows to at most {words.size(found)}"
    if not line.is_far or found >= min(wanted, max(LEAST_BYTES, 2 * line.held_bytes)):
        return _good(what, f"{fact}.", value=found)
    return Finding(
        area=Area.KERNEL,
        what=what,
        verdict=Verdict.BAD if found < TINY_BYTES else Verdict.COULD_BE_BETTER,
        sentence=f"{fact}; half of it is the window, so at {words.length(line.round_trip_seconds)} one connection ends"
        f" at {words.about(found / 2 / line.round_trip_seconds)}.",
        advice=f"Let it grow to {_mega(wanted)}.",
        sysctl=(f"net.ipv4.tcp_{name} = {first} {wanted}",),
        value=found,
        unit="bytes",
    )


def _asked(name: str, found: int | None, *, line: Line) -> Finding:
    if found is None:
        return not_measured(Area.KERNEL, name, why=UNREADABLE)
    fact = f"a program may ask for at most {words.size(found)}"
    if not line.is_far or found >= LEAST_BYTES:
        return _good(name, f"{fact}.", value=found)
    wanted = wanted_buffer(line)
    return Finding(
        area=Area.KERNEL,
        what=name,
        verdict=Verdict.COULD_BE_BETTER,
        sentence=f"{fact}; dts lets the kernel choose, but other tools (iperf3, bbcp) ask.",
        advice=f"Allow {_mega(wanted)}.",
        sysctl=(f"net.core.{name} = {wanted}",),
        value=found,
        unit="bytes",
    )


def _control(kernel: Kernel, *, line: Line) -> Finding:
    what = "congestion control"
    if kernel.control is None:
        return not_measured(Area.KERNEL, what, why=UNREADABLE)
    others = ", ".join(sorted(set(kernel.controls) - {kernel.control})) or "nothing else"
    fact = f"{kernel.control} ({others} is there too)"
    if kernel.control.startswith("bbr"):
        return _good(what, f"{fact}.")
    if not line.is_far:
        return _good(what, f"{fact}; {NEAR}")
    module = (
        "" if "bbr" in kernel.controls else "`modprobe tcp_bbr` and a line `tcp_bbr` in /etc/modules-load.d/dts.conf; "
    )
    return Finding(
        area=Area.KERNEL,
        what=what,
        verdict=Verdict.COULD_BE_BETTER,
        sentence=f"{fact}: it slows down at every lost packet; bbr does not. The sender's counts.",
        advice=f"{module}choose bbr, with the queue that paces for it.",
        sysctl=("net.core.default_qdisc = fq", "net.ipv4.tcp_congestion_control = bbr"),
    )


def _scaling(found: bool | None) -> Finding:
    what = "window scaling"
    if found is None:
        return not_measured(Area.KERNEL, what, why=UNREADABLE)
    if found:
        return _good(what, "on.")
    return Finding(
        area=Area.KERNEL,
        what=what,
        verdict=Verdict.BAD,
        sentence="off: no connection has more than 65 kB under way, 0.3 MB/s at 250 ms.",
        advice="Switch it on.",
        sysctl=("net.ipv4.tcp_window_scaling = 1",),
    )


def _switch(
    what: str, found: float | None, *, wanted: bool, line: Line, harm: str, advice: str, setting: str
) -> Finding:
    """Judge what is either on or off, and does harm on a long way only."""
    if found is None:
        return not_measured(Area.KERNEL, what, why=UNREADABLE)
    is_now = "on" if found else "off"
    if bool(found) is wanted:
        return _good(what, f"{is_now}.")
    if not line.is_far:
        return _good(what, f"{is_now}; {NEAR}")
    return Finding(
        area=Area.KERNEL,
        what=what,
        verdict=Verdict.COULD_BE_BETTER,
        sentence=f"{is_now}: {harm}",
        advice=advice,
        sysctl=(f"net.ipv4.{setting} = {int(wanted)}",),
    )


def _good(what: str, sentence: str, *, value: float | None = None) -> Finding:
    return Finding(
        area=Area.KERNEL,
        what=what,
        verdict=Verdict.GOOD,
        sentence=sentence,
        value=value,
        unit=None if value is None else "bytes",
    )


def _mega(count: int) -> str:
    """As people say it of memory: 64 MB are 67,108,864 bytes."""
    return f"{count / 1024**2:.0f} MB"
