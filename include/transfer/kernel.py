"""What this host's kernel gives a TCP connection, as far as it says so."""

from pathlib import Path

from include.transfer.adapt import Host

_SETTINGS = Path("/proc/sys/net/ipv4")


def this_host() -> Host:
    """Return its largest receive buffer and congestion control; Linux's defaults where it does not say."""
    try:
        receive = int((_SETTINGS / "tcp_rmem").read_text().split()[2])
        control = (_SETTINGS / "tcp_congestion_control").read_text().strip()
    except (OSError, ValueError, IndexError):
        return Host(receive_buffer_bytes=6_291_456, congestion_control="cubic")
    return Host(receive_buffer_bytes=receive, congestion_control=control)
