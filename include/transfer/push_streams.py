"""How many connections a push begins with. Pure; how it goes on is adapt.py's to say, as for a pull."""

from include.transfer.adapt import (
    LINK_BYTES_PER_SECOND,
    LOSSY_WINDOW_BYTES,
    MOST_STREAMS,
    Decision,
    Host,
    known,
    link_holds,
)

SERVER_WINDOW_BYTES = 2 * 1024 * 1024
"""What OpenSSH takes over a connection before it must say that it wants more."""


def first(*, round_trip_seconds: float, host: Host, remembered: int | None = None) -> Decision:
    """Decide how many connections to begin with."""
    return known(round_trip_seconds, remembered=remembered) or _far(round_trip_seconds, host)


def _far(round_trip_seconds: float, host: Host) -> Decision:
    held = LINK_BYTES_PER_SECOND * round_trip_seconds
    window = SERVER_WINDOW_BYTES if host.congestion_control == "bbr" else LOSSY_WINDOW_BYTES
    streams = max(4, min(round(held / window) + 1, MOST_STREAMS))
    return Decision(
        streams,
        f"{streams} connections: {link_holds(round_trip_seconds)}, and an OpenSSH server takes 2 MiB"
        f" at most over each; with {host.congestion_control} one is expected to keep {window / 1e6:.1f} MB in flight.",
    )
