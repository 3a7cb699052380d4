"""TCP ports on loopback: free ones, and a clear word about taken ones."""

import os
import random
import socket

from include.errors import SandboxError

LOOPBACK = "127.0.0.1"
_CANDIDATES = range(15_000, 32_000)
"""Below the kernel's ephemeral range (32768 up), so that no outgoing connection takes a port before its server does."""
_given: set[int] = set()
_PREFIX = "DTS_SANDBOX_PORT_"


def is_free(port: int) -> bool:
    """Tell whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError:
            return False
    return not answers(port, host="localhost")


def answers(port: int, *, host: str = LOOPBACK) -> bool:
    """Tell whether something listens on `port`."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """Return a port that nobody listens on; no port is given twice by one process."""
    for port in random.sample(_CANDIDATES, k=1000):
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise SandboxError("No free port between 15000 and 32000 on 127.0.0.1: end what listens there.")


def port_to_use(port: int | None, *, server: str, setting: str | None = None) -> int:
    """Return the configured `port`, or a free one where none is configured.

    Raises:
        SandboxError: the configured port is taken. `setting` is the environment variable that changes it.
    """
    if port is None:
        return free_port()
    if not is_free(port):
        way_out = f"set {setting} to another port" if setting else "choose another port"
        raise SandboxError(f"Port {port} for {server} is taken: end what listens on it, or {way_out}.")
    return port


def port_setting(name: str) -> str:
    """Return the environment variable that configures a port."""
    return f"{_PREFIX}{name.upper()}"


def require_different_ports(**defaults: int) -> None:
    """Raise a SandboxError where two settings name the same port. `defaults` are those of names that are not set."""
    settings = {port_setting(name): str(port) for name, port in defaults.items()}
    settings |= {name: text for name, text in os.environ.items() if name.startswith(_PREFIX)}
    names: dict[str, str] = {}
    for name, text in sorted(settings.items()):
        if text in names:
            raise SandboxError(f"{names[text]} and {name} both say {text}: give one of them another port.")
        names[text] = name


def configured_port(name: str, *, default: int | None = None) -> int | None:
    """Return what DTS_SANDBOX_PORT_<NAME> says, `default` where it is not set.

    Raises:
        SandboxError: it is no port.
    """
    text = os.environ.get(port_setting(name))
    if text is None:
        return default
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise SandboxError(f"{port_setting(name)}={text!r} is no port: give a number from 1 to 65535, or unset it.")
    return int(text)
