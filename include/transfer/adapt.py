"""How many connections a transfer uses: decided from what is measured, with a sentence why. Pure.

One connection's rate over a long link ends at its TCP window, which is the kernel's buffer or, with a congestion
control that takes every loss for congestion (cubic, reno), what loss leaves of it. Several add up, until the link is
full; then more of them only take from each other, and from everybody else.
"""

from dataclasses import dataclass

from include.plurals import counted

MOST_STREAMS = 64

LINK_BYTES_PER_SECOND = 125_000_000
"""What a link is taken for before anything is known of it: 1 Gbit/s."""

LOSSY_WINDOW_BYTES = 600_000
"""What cubic holds in flight at 250 ms and 0.01 % loss: measured 2.1 to 2.6 MB/s a connection."""

LONG_BUFFER_BYTES = 64_000_000
NEAR_SECONDS = 0.005
NEAR_STREAMS = 2
TUNED_STREAMS = 6

GROWTH = 1.5
WORTH = 1.05
"""A step up that gives less than 5 % was not worth it."""
FALL = 0.75
"""A rate that falls below this part of the best one with as many streams has a cause that more streams do not mend."""
AGAIN_ROUNDS = 8
"""After so many rounds without a change one step is tried again: the link may have got better."""


@dataclass(frozen=True, slots=True)
class Decision:
    """So many connections, and why."""

    streams: int
    why: str
    is_a_try: bool = False
    """Nothing is known of so many yet: not to be remembered."""


@dataclass(frozen=True, slots=True)
class Host:
    """This host's kernel: the largest receive buffer of a connection in bytes, and the congestion control."""

    receive_buffer_bytes: int
    congestion_control: str


def first(*, round_trip_seconds: float, host: Host, remembered: int | None = None) -> Decision:
    """Decide how many connections a pull begins with."""
    return known(round_trip_seconds, remembered=remembered) or _far(round_trip_seconds, host)


def known(round_trip_seconds: float, *, remembered: int | None) -> Decision | None:
    """Decide where nothing has to be guessed, whichever way the bytes go."""
    if remembered is not None:
        streams = max(1, min(remembered, MOST_STREAMS))
        return Decision(streams, f"{streams} connections: as many as the last transfer ended with.")
    if round_trip_seconds >= NEAR_SECONDS:
        return None
    return Decision(
        NEAR_STREAMS,
        f"{NEAR_STREAMS} connections: at {round_trip_seconds * 1000:.0f} ms one core ends before the link does.",
    )


def link_holds(round_trip_seconds: float) -> str:
    """Say how much is on its way at once over a full link."""
    held = LINK_BYTES_PER_SECOND * round_trip_seconds
    return f"{round_trip_seconds * 1000:.0f} ms at 1 Gbit/s hold {held / 1e6:.0f} MB"


def _far(round_trip_seconds: float, host: Host) -> Decision:
    held = LINK_BYTES_PER_SECOND * round_trip_seconds
    buffer = f"{host.receive_buffer_bytes / 1e6:.0f} MB"
    if host.receive_buffer_bytes >= LONG_BUFFER_BYTES and host.congestion_control == "bbr":
        return Decision(
            TUNED_STREAMS,
            f"{TUNED_STREAMS} connections: {link_holds(round_trip_seconds)}, and buffers of {buffer}"
            " with bbr let few of them carry it.",
        )
    window = min(host.receive_buffer_bytes / 2, LOSSY_WINDOW_BYTES)
    streams = max(4, min(round(held / window), MOST_STREAMS))
    return Decision(
        streams,
        f"{streams} connections: {link_holds(round_trip_seconds)}, and with buffers of {buffer}"
        f" and {host.congestion_control} one is expected to keep about {window / 1e6:.1f} MB in flight.",
    )


@dataclass(frozen=True, slots=True)
class Round:
    """What was measured while nothing was changed: streams, and bytes a second."""

    streams: int
    rate: float


def change(
    rounds: tuple[Round, ...],
    *,
    most: int = MOST_STREAMS,
    remembered: int | None = None,
    held_back_by: str | None = None,
) -> Decision:
    """Decide how to go on after the last of these rounds.

    `remembered` is what the last transfer ended with; `held_back_by` says what else than the link sets the rate.
    """
    now, before = rounds[-1], rounds[:-1]
    megabytes = _measured(now)
    if held_back_by is not None:
        return Decision(now.streams, f"{megabytes}: {held_back_by} sets the rate, not the link; nothing is changed.")
    fewer = max((one for one in before if one.streams < now.streams), key=lambda one: one.rate, default=None)
    same = [one.rate for one in before if one.streams == now.streams]
    if fewer is not None and before[-1].streams < now.streams and now.rate < fewer.rate * WORTH:
        return _not_worth(now, before, fewer=fewer, remembered=remembered)
    if same and now.rate < max(same) * FALL:
        return _slower(now, was=max(same))
    is_known = any(one.streams > now.streams for one in before) or (fewer is not None and same)
    if is_known and _unchanged(rounds) < AGAIN_ROUNDS:
        return Decision(now.streams, f"{megabytes}: as many as are known to be of use.")
    more = min(most, max(now.streams + 1, round(now.streams * GROWTH)))
    if more == now.streams:
        return Decision(now.streams, f"{megabytes}: as many as are allowed.")
    return Decision(more, f"{megabytes}: {more} are tried, to see whether the link holds more.", is_a_try=True)


def _measured(now: Round) -> str:
    return f"{now.rate / 1e6:.1f} MB/s with {counted(now.streams, 'connection')}"


def _not_worth(now: Round, before: tuple[Round, ...], *, fewer: Round, remembered: int | None) -> Decision:
    """After a step up that gave little, or took some."""
    if now.rate < fewer.rate:
        why = f"{_measured(now)}: {fewer.streams} gave {fewer.rate / 1e6:.1f} MB/s; back to as many."
        return Decision(fewer.streams, why)
    enough = before[-1].streams
    if enough == remembered or _unchanged(before) >= AGAIN_ROUNDS:
        # Else each try would leave some more behind, and each transfer begin with those.
        return Decision(enough, f"{_measured(now)}: hardly more than with {enough}; back to as many.")
    return Decision(now.streams, f"{_measured(now)}: hardly more than with {fewer.streams}; no more are tried.")


def _slower(now: Round, *, was: float) -> Decision:
    why = f"{_measured(now)}: it was {was / 1e6:.1f} MB/s; the far end or the link got slower"
    if now.streams <= TUNED_STREAMS:
        return Decision(now.streams, f"{why}, and so few are kept.")
    return Decision(max(1, round(now.streams / GROWTH)), f"{why}, so fewer share it.")


def _unchanged(rounds: tuple[Round, ...]) -> int:
    found = 0
    for one in reversed(rounds):
        if one.streams != rounds[-1].streams:
            break
        found += 1
    return found
