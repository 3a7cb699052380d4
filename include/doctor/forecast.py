"""What a TCP connection can carry, from the round trip, the kernel's buffers and the congestion control. Pure.

A connection has at most one window under way a round trip. The window ends at half of the buffer (Linux keeps the rest
for bookkeeping); with a congestion control that takes every loss for congestion (cubic, reno), it ends much sooner on
a line that loses packets. RFC 9438, 5.1: cubic's window goes with (round trip / loss) ** 0.75. At 250 ms and one
packet lost in 10,000 it says 2.2 MB/s. iperf3 on the test link had 4 MB/s in its first 30 s, which begin with 10, and
2 MB/s later; connections by themselves had 1.3 to 4, 31 together 2.6 each. Here it is 2.5 MB/s.
"""

from dataclasses import dataclass

OCEAN_SECONDS = 0.25
OCEAN_LOSS = 1e-4
OCEAN_WINDOW_BYTES = 625_000
SEGMENT_BYTES = 1448
USABLE = 0.9
"""Of a line's bits: what headers and SSH leave of it (110 MB/s of 1 Gbit/s)."""

FAR_SECONDS = 0.02
"""From here on a line is long enough to lose packets, and for buffers and congestion control to matter."""

MOST_STREAMS = 32


@dataclass(frozen=True, slots=True)
class Line:
    """A way to another site: the round trip, what the line is said to carry, and the part of the packets it loses."""

    round_trip_seconds: float
    bytes_per_second: float = 125_000_000
    loss: float = OCEAN_LOSS

    @property
    def is_far(self) -> bool:
        """Whether the kernel's settings matter."""
        return self.round_trip_seconds >= FAR_SECONDS

    @property
    def usable(self) -> float:
        """Bytes a second that can be had of it."""
        return USABLE * self.bytes_per_second

    @property
    def held_bytes(self) -> float:
        """What is under way on it when it is full: the bandwidth-delay product."""
        return self.round_trip_seconds * self.bytes_per_second


def one_stream(line: Line, *, buffer_bytes: int, control: str) -> float:
    """Return the bytes a second of one connection once it has ramped up."""
    if not line.is_far:
        return line.usable
    window = min(buffer_bytes / 2, loss_window(line, control=control))
    return min(window / line.round_trip_seconds, line.usable)


def many_streams(line: Line, *, buffer_bytes: int, control: str, streams: int = MOST_STREAMS) -> float:
    """Return the bytes a second of several connections together."""
    return min(streams * one_stream(line, buffer_bytes=buffer_bytes, control=control), line.usable)


def loss_window(line: Line, *, control: str) -> float:
    """Return how many bytes loss leaves under way."""
    if control.startswith("bbr") or not line.loss:
        return float("inf")  # it measures the line's rate and takes no loss for congestion
    cubic: float = OCEAN_WINDOW_BYTES * (line.round_trip_seconds / OCEAN_SECONDS * OCEAN_LOSS / line.loss) ** 0.75
    reno: float = 1.22 * SEGMENT_BYTES / line.loss**0.5
    return max(cubic, reno) if control == "cubic" else reno
