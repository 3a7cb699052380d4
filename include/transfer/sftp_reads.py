"""The reading half of SFTP 3 on one SSH channel, without a copy or a task more than needed.

asyncssh's own client makes a task for every request and joins what comes; here the bytes go from the decrypted packet
straight to where the caller wants them. Requests are answered in order, so many are under way at once.
"""

import asyncio
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncssh

REQUEST_BYTES = 255 * 1024
"""The most that OpenSSH answers one request with; of more it would send only as much."""

_INIT, _VERSION, _OPEN, _CLOSE, _READ, _LSTAT, _REALPATH = 1, 2, 3, 4, 5, 7, 16
_STATUS, _HANDLE, _DATA, _NAME, _ATTRS = 101, 102, 103, 104, 105
_READ_FLAG, _SIZE_FLAG, _OWNER_FLAG, _MODE_FLAG = 1, 1, 2, 4
_HEADER, _DATA_HEADER = 9, 13

_ERRORS: dict[int, Callable[[str], asyncssh.SFTPError]] = {
    1: asyncssh.SFTPEOFError,
    2: asyncssh.SFTPNoSuchFile,
    3: asyncssh.SFTPPermissionDenied,
    5: asyncssh.SFTPBadMessage,
    8: asyncssh.SFTPOpUnsupported,
}

OnRead = Callable[[int | Exception], None]
"""Called with how many bytes have come into the caller's place, or with why none have."""


@dataclass(frozen=True, slots=True)
class FileAttributes:
    """What LSTAT says: size in bytes, and the mode with the type of the file."""

    size_bytes: int
    mode: int


@dataclass(slots=True)
class _Read:
    into: memoryview
    done: OnRead


class SftpReads(asyncssh.SSHClientSession[bytes]):
    """One channel. All methods belong to the loop's thread. Errors are asyncssh's, or ConnectionError."""

    def __init__(self) -> None:
        self.received_at = time.monotonic()
        self.received_bytes = 0
        self.lost: Exception | None = None
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._number = 0
        self._reads: dict[int, _Read] = {}
        self._answers: dict[int, asyncio.Future[bytearray]] = {}
        self._out = bytearray()
        self._packet = bytearray()
        self._body: memoryview | None = None
        """What has yet to come of the answer to a read."""
        self._read: _Read | None = None
        self._read_bytes = 0

    # ----- asking

    async def start(self) -> None:
        """Agree on the protocol; before anything else."""
        answer = self._answers[0] = asyncio.get_running_loop().create_future()
        self._send(struct.pack(">BI", _INIT, 3))
        await answer

    async def round_trip(self) -> float:
        """Return the seconds of a request that touches nothing."""
        before = time.perf_counter()
        await self._ask(_REALPATH, text_of(b"/"))
        return time.perf_counter() - before

    async def attributes(self, path: bytes) -> FileAttributes:
        """Of a file, links not followed."""
        return attributes_in(await self._ask(_LSTAT, text_of(path)))

    async def open(self, path: bytes) -> bytes:
        """Return a handle for reading."""
        answer = await self._ask(_OPEN, text_of(path) + struct.pack(">II", _READ_FLAG, 0))
        return bytes(answer[13:])

    def close(self, handle: bytes) -> None:
        """Give a handle back; nobody waits for the answer."""
        self._number += 1
        self._send(struct.pack(">BI", _CLOSE, self._number) + text_of(handle))

    def read(self, handle: bytes, *, offset: int, into: memoryview, done: OnRead) -> None:
        """Ask for as many bytes as `into` is long (at most REQUEST_BYTES). Fewer may come, at the end none."""
        self._number += 1
        self._reads[self._number] = _Read(into, done)
        place = struct.pack(">QI", offset, len(into))
        self._send(struct.pack(">BI", _READ, self._number) + text_of(handle) + place)

    def begin(self, kind: int, *rest: bytes | bytearray) -> "asyncio.Future[bytearray]":
        """Send any request; the future brings the packet of the answer, or the error that it was."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        if len(rest) == 1:
            self._send(struct.pack(">BI", kind, self._number) + rest[0])
        else:
            self._send_large(struct.pack(">BI", kind, self._number), *rest)
        return answer

    async def _ask(self, kind: int, rest: bytes) -> bytearray:
        return await self.begin(kind, rest)

    def _send(self, packet: bytes) -> None:
        if self.lost is not None or self._channel is None:
            raise self.lost or ConnectionError("the channel is not open")
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out += struct.pack(">I", len(packet)) + packet

    def _send_large(self, *parts: bytes | bytearray) -> None:
        """What has a file's bytes in it goes at once, copied only once."""
        self._flush()
        if self.lost is not None or self._channel is None:
            raise self.lost or ConnectionError("the channel is not open")
        size = sum(len(part) for part in parts)
        self._channel.write(b"".join((struct.pack(">I", size), *parts)))

    def _flush(self) -> None:
        """Send what was asked for since: one packet, one system call and one wakeup of the server for many requests."""
        out, self._out = self._out, bytearray()
        if self.lost is None and self._channel is not None:
            self._channel.write(bytes(out))

    # ----- being answered

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(exc or ConnectionError("the server closed the connection"))

    def eof_received(self) -> bool:
        self.fail(ConnectionError("the server ended the session"))
        return False

    def fail(self, error: Exception) -> None:
        """Nothing more comes: whoever waits is told. Safe to repeat."""
        if self.lost is not None:
            return
        self.lost = error
        self._body = None
        reads, self._reads = self._reads, {}
        answers, self._answers = self._answers, {}
        waiting = [self._read] if self._read is not None else []
        for read in [*waiting, *reads.values()]:
            read.done(error)
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(error)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:  # noqa: ARG002
        self.received_at = time.monotonic()
        self.received_bytes += len(data)
        rest = memoryview(data)
        while rest and self.lost is None:
            rest = self._take_body(rest) if self._body is not None else self._take_packet(rest)

    def _take_body(self, rest: memoryview) -> memoryview:
        assert self._body is not None
        length = min(len(rest), len(self._body))
        self._body[:length] = rest[:length]
        self._body = self._body[length:]
        if not self._body:
            read, self._read, self._body = self._read, None, None
            assert read is not None
            read.done(self._read_bytes)
        return rest[length:]

    def _take_packet(self, rest: memoryview) -> memoryview:
        """Gather a whole answer; of one that brings a file's bytes, the header only."""
        packet = self._packet
        wanted = _HEADER
        if len(packet) >= _HEADER:
            wanted = _DATA_HEADER if packet[4] == _DATA else 4 + int.from_bytes(packet[:4], "big")
        missing = wanted - len(packet)
        packet += rest[:missing]
        if len(packet) >= wanted and (wanted > _HEADER or 4 + int.from_bytes(packet[:4], "big") == _HEADER):
            self._packet = bytearray()
            self._answered(packet)
        return rest[missing:]

    def _answered(self, packet: bytearray) -> None:
        kind = packet[4]
        number = 0 if kind == _VERSION else int.from_bytes(packet[5:9], "big")
        if kind == _DATA:
            self._begin_body(self._reads.pop(number, None), int.from_bytes(packet[9:13], "big"))
        elif number in self._reads:
            self._reads.pop(number).done(_error(packet) or ConnectionError("the server answered a read with no data"))
        elif number in self._answers:
            answer = self._answers.pop(number)
            error = _error(packet)
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(packet)

    def _begin_body(self, read: _Read | None, length: int) -> None:
        if read is None or not 0 < length <= len(read.into):
            self.fail(ConnectionError(f"the server sent {length} bytes that nobody asked for"))
            return
        self._read, self._read_bytes = read, length
        self._body = read.into[:length]


def text_of(value: bytes) -> bytes:
    """As SFTP writes it: with its length before it."""
    return struct.pack(">I", len(value)) + value


def _error(packet: bytearray) -> Exception | None:
    if packet[4] != _STATUS:
        return None
    code = int.from_bytes(packet[9:13], "big")
    if code == 0:
        return None
    length = int.from_bytes(packet[13:17], "big")
    text = packet[17 : 17 + length].decode("utf-8", "replace")
    return _ERRORS.get(code, asyncssh.SFTPFailure)(text)


def attributes_in(packet: bytearray) -> FileAttributes:
    """What an answer with attributes says."""
    flags = int.from_bytes(packet[9:13], "big")
    position = 13
    size = mode = 0
    if flags & _SIZE_FLAG:
        size = int.from_bytes(packet[position : position + 8], "big")
        position += 8
    if flags & _OWNER_FLAG:
        position += 8
    if flags & _MODE_FLAG:
        mode = int.from_bytes(packet[position : position + 4], "big")
    return FileAttributes(size, mode)
