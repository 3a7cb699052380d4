"""A TCP cable to a server that can be broken, or go silent, under the connections that run through it."""

import contextlib
import socket
import threading
import time
from queue import SimpleQueue


class Cable:
    """Listens on loopback and carries every connection to `port`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self.carried_bytes = 0
        """From the server, of what was not swallowed."""
        self._counting = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._servers: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def break_all(self) -> None:
        """Cut every connection that is open now; new ones are carried."""
        pairs, self._pairs = self._pairs, []
        for one in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def silence_all(self) -> None:
        """Swallow what is sent on the connections that are open now, as a cut link does."""
        self._silent |= {one for pair in self._pairs for one in pair}

    def close(self) -> None:
        """Take the cable away: nobody gets through any more. Safe to repeat."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self.break_all()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                for end in (near, far):  # else every small request waits 40 ms for a delayed acknowledgement
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._servers.add(far)
                self._pairs.append((near, far))
                self._threads.append(threading.Thread(target=self._carry_both, args=(near, far), daemon=True))
                self._threads[-1].start()

    def _carry_both(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
        back.start()
        self._carry(near, far)
        back.join()
        near.close()
        far.close()

    def _count(self, one: socket.socket, size_bytes: int) -> None:
        if one in self._servers:
            with self._counting:
                self.carried_bytes += size_bytes

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while some := one.recv(65536):
                if one not in self._silent:
                    self._count(one, len(some))
                    other.sendall(some)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class LongCable(Cable):
    """What is sent arrives `delay_seconds` later, however much is on its way."""

    def __init__(self, port: int, *, delay_seconds: float) -> None:
        self._delay_seconds = delay_seconds
        self.most_on_its_way = 0
        """Bytes of one direction of one connection."""
        super().__init__(port)

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        arrived = [0]
        arriving = threading.Thread(target=self._arrive, args=(way, other, arrived), daemon=True)
        arriving.start()
        sent = 0
        with contextlib.suppress(OSError):
            while some := one.recv(65536):
                self._count(one, len(some))
                sent += len(some)
                way.put((time.monotonic() + self._delay_seconds, some))
                self.most_on_its_way = max(self.most_on_its_way, sent - arrived[0])
        way.put((0.0, b""))
        arriving.join()

    def _arrive(self, way: "SimpleQueue[tuple[float, bytes]]", other: socket.socket, arrived: list[int]) -> None:
        with contextlib.suppress(OSError):
            while (due := way.get())[1]:
                time.sleep(max(0.0, due[0] - time.monotonic()))  # the length of the cable
                arrived[0] += len(due[1])
                other.sendall(due[1])
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


class UnevenCable(Cable):
    """The first connection gets `slow` bytes a second from the server, each other one `usual`."""

    def __init__(self, port: int, *, slow: int, usual: int) -> None:
        self._rates = slow, usual
        self.slowly_bytes = 0
        super().__init__(port)

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        if one not in self._servers:
            super()._carry(one, other)
            return
        is_slow = one is self._pairs[0][1]
        with contextlib.suppress(OSError):
            while some := one.recv(self._rates[0 if is_slow else 1] // 20):
                self.slowly_bytes += len(some) if is_slow else 0
                other.sendall(some)
                time.sleep(0.05)  # its rate
