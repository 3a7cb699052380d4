"""Give asyncssh what comes from the socket packet by packet.

It gets 256 kB at a time and cuts its packets off the front, copying the rest twice for each: 16 bytes moved for every
byte. With a GCM cipher a packet begins with its length in clear, so it can be cut off here, out of one buffer that the
socket is read into.
"""

import asyncio

import asyncssh

BUFFER_BYTES = 256 * 1024
_LENGTH_BYTES, _TAG_BYTES = 4, 16


class _Packets(asyncio.BufferedProtocol):
    """Stands between the transport and the connection."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self._connection = connection
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        view, start, filled = self._view, 0, self._filled
        while filled - start >= _LENGTH_BYTES:
            end = start + _LENGTH_BYTES + int.from_bytes(view[start : start + _LENGTH_BYTES], "big") + _TAG_BYTES
            if end > filled and not (start == 0 and filled == BUFFER_BYTES):
                break
            self._connection.data_received(bytes(view[start : min(end, filled)]))  # a packet too large is its to refuse
            start = min(end, filled)
        rest = filled - start
        if start and rest:
            view[:rest] = bytes(view[start:filled])
        self._filled = rest

    def eof_received(self) -> None:
        self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


def by_packets(connection: asyncssh.SSHClientConnection) -> None:
    """Read this connection's socket by packets from now on, if its cipher and its transport allow it."""
    transport = getattr(connection, "_transport", None)
    is_between_packets = not getattr(connection, "_inpbuf", b"?") and not getattr(connection, "_packet", b"?")
    cipher = connection.get_extra_info("recv_cipher", "")
    if "gcm" in cipher and is_between_packets and isinstance(transport, asyncio.Transport):
        transport.set_protocol(_Packets(connection))
