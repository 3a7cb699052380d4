"""How many connections a push begins with. Pure; how it goes on is adapt.py's to say, as for a pull."""

from include.transfer.adapt import LINK_BYTES_PER_SECOND, LOSSY_WINDOW_BYTES, MOST_STREAMS, NEAR_SECONDS, Decision, Host

SERVER_WINDOW_BYTES = 2 * 1024 * 1024
"""What OpenSSH takes over a connection before it must say that it wants more."""

NEAR_STREAMS = 2


def first(*, round_trip_seconds: float, host: Host, remembered: int | None = None) -> Decision:
    """Decide how many connections to begin with."""
    if remembered is not None:
        streams = max(1, min(remembered, MOST_STREAMS))
        return Decision(streams, f"{streams} connections: as many as the last transfer ended with.")
    milliseconds = f"{round_trip_seconds * 1000:.0f} ms"
    if round_trip_seconds < NEAR_SECONDS:
        return Decision(
            NEAR_STREAMS, f"{NEAR_STREAMS} connections: at {milliseconds} one core ends before the link does."
        )
    held = LINK_BYTES_PER_SECOND * round_trip_seconds
    window = SERVER_WINDOW_BYTES if host.congestion_control == "bbr" else LOSSY_WINDOW_BYTES
    streams = max(4, min(round(held / window) + 1, MOST_STREAMS))
    return Decision(
        streams,
        f"{streams} connections: {milliseconds} at 1 Gbit/s hold {held / 1e6:.0f} MB, and an OpenSSH server takes 2 MiB"
        f" at most over each; with {host.congestion_control} one is expected to keep {window / 1e6:.1f} MB in flight.",
    )
