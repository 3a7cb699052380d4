"""A small real HTTP server that keeps the API's contract, and can be told to misbehave."""

import hashlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "dts_secret"
PREFIX = "/dts/api/v1"


@dataclass
class Filing:
    id: int
    key: str
    observation: str
    digest: str
    header: dict[str, Any]
    files: list[dict[str, Any]]
    state: str = "received"
    verdict: str = "Received."

    def json(self) -> dict[str, Any]:
        return {"id": self.id, "state": self.state, "verdict": self.verdict, "observation": self.observation}


Fault = Callable[["Handler"], bool]
"""Answers instead of the server (True), or lets it answer (False)."""
Judge = Callable[[Filing], str | None]
"""Returns why a filing is refused, None if it is accepted."""


@dataclass
class ContractServer:
    url: str = ""
    observations: dict[str, dict[str, Any]] = field(default_factory=dict)
    filings: dict[str, Filing] = field(default_factory=dict)
    """By Idempotency-Key."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    """Each is used for one request."""
    judge: Judge = lambda _: None
    judges: threading.Event = field(default_factory=threading.Event)
    """While it is not set, no filing gets its verdict."""
    token: str = TOKEN
    lock: threading.RLock = field(default_factory=threading.RLock)

    def paths(self, observation: str) -> list[str]:
        """In the order in which they were accepted."""
        with self.lock:
            accepted = [one for one in self.filings.values() if one.state == "accepted"]
            return [file["path"] for one in accepted if one.observation == observation for file in one.files]

    def all_paths(self) -> list[str]:
        return [path for observation in list(self.observations) for path in self.paths(observation)]

    def is_finished(self, observation: str) -> bool:
        return bool(self.observations.get(observation, {}).get("finished_at"))

    def decide(self, filing: Filing) -> None:
        if filing.state == "received" and self.judges.is_set():
            why = self.judge(filing)
            filing.state = "refused" if why else "accepted"
            filing.verdict = f"Refused: {why}" if why else f"Accepted: {len(filing.files)} files."


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    contract: ContractServer

    def answer(self, status: int, value: Any, **headers: str) -> bool:
        kind = "application/json" if status < 400 else "application/problem+json"
        return self.send(status, json.dumps(value).encode(), {"Content-Type": kind, **headers})

    def send(self, status: int, body: bytes, headers: dict[str, str], *, length: int | None = None) -> bool:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        return True

    def problem(self, status: int, detail: str, **headers: str) -> bool:
        return self.answer(status, {"title": "No", "status": status, "detail": detail}, **headers)

    def handle_any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.contract.lock:
            self.contract.requests.append((self.command, self.path))
            fault = self.contract.faults.pop(0) if self.contract.faults else None
        if fault is not None and fault(self):
            return
        self.keep_the_contract()

    do_GET = do_PUT = do_POST = handle_any  # noqa: N815 - http.server's names

    def keep_the_contract(self) -> None:
        parts = urlsplit(self.path)
        steps = parts.path.removeprefix(PREFIX).strip("/").split("/")
        if self.headers.get("Authorization") != f"Bearer {self.contract.token}":
            self.problem(401, "The token is not known.", WWW_Authenticate="Bearer")
        elif self.command == "GET":
            self.get_filing(int(steps[1]), wait=int(parse_qs(parts.query).get("wait", ["0"])[0]))
        else:
            with self.contract.lock:
                self.change(steps[1], steps[2] if len(steps) > 2 else "")

    def get_filing(self, number: int, *, wait: int) -> None:
        self.contract.judges.wait(wait)
        with self.contract.lock:
            for filing in self.contract.filings.values():
                if filing.id == number:
                    self.contract.decide(filing)
                    self.answer(200, filing.json())
                    return
        self.problem(404, f"There is no filing {number}.")

    def change(self, observation: str, what: str) -> bool:
        known = self.contract.observations.get(observation)
        if not what:
            return self.start(observation, known, json.loads(self.body))
        if known is None:
            return self.problem(404, f"Observation {observation} is unknown.")
        if what == "files":
            return self.file(observation)
        return self.end(observation, known, json.loads(self.body))

    def start(self, observation: str, known: dict[str, Any] | None, given: dict[str, Any]) -> bool:
        if known is None:
            self.contract.observations[observation] = dict(given)
            return self.answer(201, {"id": observation, **given})
        if {key: known[key] for key in given} != given:
            return self.problem(409, f"Observation {observation} started at {known['started_at']}.")
        return self.answer(200, {"id": observation, **given})

    def file(self, observation: str) -> bool:
        assert self.headers["Content-Type"] == "application/x-ndjson"
        key, digest = self.headers["Idempotency-Key"], hashlib.sha256(self.body).hexdigest()
        assert 1 <= len(key) <= 100
        if key in self.contract.filings:
            filing = self.contract.filings[key]
            if filing.digest != digest:
                return self.problem(409, f"The key {key} stands for another filing.")
            if filing.state != "refused":
                return self.answer(200, filing.json())
            filing.state = "received"
            return self.answer(202, filing.json(), Location=f"{PREFIX}/filings/{filing.id}")
        header, *files = [json.loads(line) for line in self.body.splitlines()]
        assert set(header) == {"instrument", "instrument_module", "data_location", "started_at"}
        paths = [file["path"] for file in files]
        if len(set(paths)) < len(paths):
            return self.problem(422, "A path stands twice in the filing.")
        number = len(self.contract.filings) + 1
        self.contract.filings[key] = Filing(number, key, observation, digest, header, files)
        return self.answer(202, self.contract.filings[key].json(), Location=f"{PREFIX}/filings/{number}")

    def end(self, observation: str, known: dict[str, Any], given: dict[str, Any]) -> bool:
        if known.setdefault("finished_at", given["finished_at"]) != given["finished_at"]:
            return self.problem(409, f"Observation {observation} was finished at {known['finished_at']}.")
        return self.answer(200, {"id": observation, **known})

    def log_message(self, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Ends with its connections."""

    daemon_threads = False

    def __init__(self, port: int, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def end(self) -> None:
        self.shutdown()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that hangs up is one of the tests
            super().handle_error(request, client_address)


@contextmanager
def contract_server(port: int = 0, contract: ContractServer | None = None) -> Iterator[ContractServer]:
    contract = contract or ContractServer()
    contract.judges.set()
    handler = type("Bound", (Handler,), {"contract": contract})
    server = Server(port, handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    contract.url = f"http://127.0.0.1:{server.server_port}/dts"
    try:
        yield contract
    finally:
        contract.judges.set()
        server.end()
        thread.join()


def internal_error(handler: Handler) -> bool:
    return handler.send(500, b"Internal Server Error", {"Content-Type": "text/plain"})


def a_page(handler: Handler) -> bool:
    return handler.send(200, b"<html>Please log in to the guest network</html>", {"Content-Type": "text/html"})


def a_proxys_403(handler: Handler) -> bool:
    return handler.send(403, b"<html>Forbidden</html>", {"Content-Type": "text/html"})


def wrong_json(handler: Handler) -> bool:
    return handler.answer(200, {"hello": "world"})


def no_object(handler: Handler) -> bool:
    return handler.answer(200, [1, 2, 3])


def a_redirect(handler: Handler) -> bool:
    return handler.send(302, b"", {"Location": "http://127.0.0.1:1/elsewhere"})


def cut_before_the_answer(handler: Handler) -> bool:
    handler.close_connection = True
    return True


def cut_in_the_answer(handler: Handler) -> bool:
    """What was asked for was done."""
    real, handler.wfile = handler.wfile, _Nothing()  # type: ignore[assignment]
    handler.keep_the_contract()
    handler.wfile = real
    handler.send(200, b'{"id": 1, "sta', {"Content-Type": "application/json"}, length=400)
    handler.close_connection = True
    return True


def slow(seconds: float) -> Fault:
    def fault(_: Handler) -> bool:
        time.sleep(seconds)
        return False

    return fault


def busy(seconds: float) -> Fault:
    return lambda handler: handler.problem(503, "ops-db is away.", Retry_After=str(seconds))


def busy_until(seconds: float) -> Fault:
    """By a clock that is wrong by a day."""
    now = time.time() - 86_400
    headers = {"Retry_After": formatdate(now + seconds, usegmt=True), "Date": formatdate(now, usegmt=True)}
    return lambda handler: handler.problem(429, "Too many requests.", **headers)


class _Nothing:
    def write(self, content: bytes) -> int:
        return len(content)

    def flush(self) -> None:
        pass
