"""The server, as the client needs it: four questions, and three kinds of answers.

It answers; it refuses for good (RefusedError); anything else (no connection, a cut, a proxy's page, 500) is
TryAgainError. A refusal counts only if it is the server's own (application/problem+json): a proxy on the way may say
403 or 404 to anything.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from .errors import RefusedError, ServerAwayError, TryAgainError, UnknownError
from .segment import About
from .settings import Settings

API = "/api/v1"
FINAL = (400, 403, 404, 409, 413, 415, 422)
AWAY = (401, 407, 429, 502, 503, 504)
ANSWER_BYTES_MAX = 1024 * 1024
ANSWER_SECONDS_MAX = 90.0
TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=10.0)


@dataclass(frozen=True)
class Filing:
    """What the server says of a filing."""

    id: int
    state: str
    """received, accepted or refused."""
    verdict: str


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes


class Server:
    """One server; one connection, kept open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = settings.server.rstrip("/") + API
        self._http: httpx.Client | None = None

    def start(self, about: About) -> None:
        """Tell the server of an observation; it may know it. Raises RefusedError, TryAgainError."""
        value = {"instrument": about.instrument, "started_at": about.started_at}
        _require_about(about, self._ask("PUT", f"/observations/{about.observation}", json=value))

    def file(self, about: About, *, body: bytes, key: str) -> Filing:
        """File a segment; the same key again is the same filing. Raises RefusedError, TryAgainError."""
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        return _filing_of(self._ask("POST", f"/observations/{about.observation}/files", content=body, headers=headers))

    def verdict(self, filing_id: int, *, wait_seconds: int) -> Filing:
        """Ask for a verdict, and wait for it that long. Raises RefusedError, TryAgainError."""
        return _filing_of(self._ask("GET", f"/filings/{filing_id}", params={"wait": wait_seconds}))

    def finish(self, about: About, *, finished_at: str) -> None:
        """Say that no more files of an observation come. Raises RefusedError, TryAgainError."""
        value = {"finished_at": finished_at}
        _require_about(about, self._ask("POST", f"/observations/{about.observation}/finish", json=value))

    def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def _ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **rest: Any) -> dict[str, Any]:
        url = self._url + path
        try:
            own = {"Authorization": self._authorization()}
            answer = self._answer(method, url, headers={**own, **(headers or {})}, **rest)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise ServerAwayError(f"{self._settings.server} does not answer: {reason}.") from error
        return _value_of(answer, asked=f"{method} {url}")

    def _answer(self, method: str, url: str, **rest: Any) -> _Answer:
        if self._http is None:
            self._http = httpx.Client(timeout=TIMEOUT, verify=self._trusted(), follow_redirects=False)
        began, body = time.monotonic(), b""
        with self._http.stream(method, url, **rest) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX or time.monotonic() - began > ANSWER_SECONDS_MAX:
                    raise httpx.ReadError(f"its answer has no end ({len(body):,} bytes)")
            return _Answer(status=response.status_code, headers=response.headers, body=body)

    def _trusted(self) -> ssl.SSLContext | bool:
        """Whose certificates count; reading the usual ones takes a while, and http:// (loopback) needs none."""
        if self._settings.ca_file is not None:
            return ssl.create_default_context(cafile=self._settings.ca_file)
        return self._url.startswith("https:")

    def _authorization(self) -> str:
        path = self._settings.token_file
        assert path is not None  # Settings.checked
        try:
            token = path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise ServerAwayError(f"The token file {path} cannot be read: {error}.") from error
        if not token or not token.isprintable() or " " in token:
            raise ServerAwayError(f"The token file {path} holds no token.")
        return f"Bearer {token}"


def _value_of(answer: _Answer, *, asked: str) -> dict[str, Any]:
    try:
        value = json.loads(answer.body)
    except ValueError:
        value = None
    is_own = isinstance(value, dict)
    if is_own and 200 <= answer.status < 300:
        return dict(value)
    sentence = (
        str(value.get("detail") or value.get("title") or value)[:2000] if is_own else "the answer is none of ours"
    )
    if is_own and answer.status in FINAL and "problem+json" in answer.headers.get("Content-Type", ""):
        raise (UnknownError if answer.status == 404 else RefusedError)(sentence)
    # A 500 may be about this observation alone; a page that is none of ours is about the way to the server.
    is_away = answer.status in AWAY or (not is_own and answer.status < 500)
    kind = ServerAwayError if is_away else TryAgainError
    raise kind(f"{asked}: {answer.status}, {sentence}", after_seconds=_retry_after(answer.headers))


def _retry_after(headers: httpx.Headers) -> float:
    """Seconds, however it is written; a date is compared with the server's own clock, not ours."""
    text = headers.get("Retry-After", "")
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, (_date(text) - _date(headers.get("Date", ""))).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _date(text: str) -> datetime:
    return parsedate_to_datetime(text)


def _require_about(about: About, value: Mapping[str, Any]) -> None:
    if value.get("id") != about.observation:
        raise TryAgainError(f"The server's answer is not about observation {about.observation}: {str(value)[:200]}")


def _filing_of(value: Mapping[str, Any]) -> Filing:
    number, state, verdict = value.get("id"), value.get("state"), value.get("verdict")
    if not isinstance(number, int) or state not in ("received", "accepted", "refused"):
        raise TryAgainError(f"The server's answer is no filing: {str(value)[:200]}")
    return Filing(id=number, state=str(state), verdict=str(verdict or ""))
