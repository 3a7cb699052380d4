"""Servers on loopback that take notifications, or do not: HTTP and SMTP, with real sockets."""

import json
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Web:
    """What a webhook got; `answers` are the statuses that it gives in turn, the last one for ever."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [200])
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.requests]


@contextmanager
def web() -> Iterator[Web]:
    """A webhook on loopback, with a secret in its path."""
    got = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = got.answers.pop(0) if len(got.answers) > 1 else got.answers[0]
            text = b"ok" if status == 200 else b"no_service"
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        got.url = f"http://127.0.0.1:{server.server_port}/services/s3cret"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield got
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Mailbox:
    """What a mail server got; with `refuses` it takes no mail, and answers so."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    refuses: str | None = None


class Conversation(socketserver.StreamRequestHandler):
    """Enough of SMTP for smtplib, STARTTLS and AUTH PLAIN included."""

    server: "MailServer"

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self.secured = False
        self.recipients: list[str] = []
        self.say("220 loopback ESMTP")
        while raw := self.rfile.readline():
            line = raw.decode().strip()
            verb = line.upper().partition(" ")[0]
            if verb == "QUIT":
                break
            getattr(self, f"on_{verb.lower()}", self.on_other)(line)

    def on_other(self, line: str) -> None:
        self.say("250 ok")

    def on_ehlo(self, line: str) -> None:
        extensions = ["STARTTLS"] if self.server.tls and not self.secured else []
        extensions += ["AUTH PLAIN"] if self.server.takes_logins else []
        for name in ["loopback", *extensions]:
            self.say(f"250-{name}")
        self.say("250 8BITMIME")

    def on_starttls(self, line: str) -> None:
        if self.server.tls is None:
            self.say("502 not here")
            return
        self.say("220 go on")
        self.rfile.close()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.secured = True

    def on_auth(self, line: str) -> None:
        self.server.got.logins.append(line)
        self.say("235 welcome")

    def on_rcpt(self, line: str) -> None:
        self.recipients.append(line.partition("<")[2].partition(">")[0])
        self.say("250 ok")

    def on_data(self, line: str) -> None:
        got = self.server.got
        if got.refuses:
            self.say(got.refuses)
            return
        self.say("354 go on")
        lines = list(iter(self.rfile.readline, b".\r\n"))
        content = b"".join(each.removeprefix(b".") for each in lines)
        got.mails.append(message_from_bytes(content, policy=policy.default))
        got.recipients.append(self.recipients)
        got.secured.append(self.secured)
        self.say("250 taken")


class MailServer(socketserver.ThreadingTCPServer):
    """On loopback."""

    daemon_threads = True

    def __init__(self, *, tls: ssl.SSLContext | None, takes_logins: bool) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.tls, self.takes_logins = tls, takes_logins
        self.got = Mailbox(port=self.server_address[1])

    def handle_error(self, *_: object) -> None:
        """A client that does not trust the certificate hangs up."""


@contextmanager
def mailbox(*, tls: ssl.SSLContext | None = None, takes_logins: bool = False) -> Iterator[Mailbox]:
    """A mail server on loopback."""
    with MailServer(tls=tls, takes_logins=takes_logins) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.got
        finally:
            server.shutdown()
            thread.join()
