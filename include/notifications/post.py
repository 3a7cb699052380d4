"""Sending JSON by POST, to Slack and to webhooks. The URL is a secret: no error names it."""

import hashlib
import hmac
import json
from collections.abc import Mapping

import httpx

from include.errors import PermanentError, TransientError
from include.notifications.access import Access
from include.notifications.message import Message

TIMEOUT_SECONDS = 10.0
NEVER = {httpx.codes.BAD_REQUEST, httpx.codes.REQUEST_ENTITY_TOO_LARGE, httpx.codes.UNPROCESSABLE_ENTITY}
"""Answers after which the same message would be refused again; anything else may be mended at the other end."""
ANSWER_CHARACTERS = 200
SLACK_CHARACTERS = 35_000
"""Slack cuts a message at 40,000."""


def send_to_slack(message: Message, access: Access) -> None:
    """Send it to an incoming webhook.

    Raises:
        TransientError: it was not taken, and may be later.
        PermanentError: this message will never be taken.
    """
    text = f"*{_escaped(message.title)}*\n{_escaped(message.text())}"
    body = {"text": text[:SLACK_CHARACTERS], "unfurl_links": False}
    _post(json.dumps(body).encode(), access, what="Slack", headers={})


def send_to_webhook(message: Message, access: Access) -> None:
    """Send it as JSON, signed if the connection has a key; raises like `send_to_slack`.

    `Idempotency-Key` is the same whenever the same message is sent again. `X-DTS-Signature-256` is `sha256=` and the
    hex HMAC-SHA256 of the body.
    """
    body = message.model_dump_json().encode()
    headers = {"Idempotency-Key": message.key}
    if access.signing_key:
        digest = hmac.new(access.signing_key.encode(), body, hashlib.sha256).hexdigest()
        headers["X-DTS-Signature-256"] = f"sha256={digest}"
    _post(body, access, what="the webhook", headers=headers)


def _escaped(text: str) -> str:
    """Slack reads these three as its own; a sentence with `<!channel>` in it must not wake everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(body: bytes, access: Access, *, what: str, headers: Mapping[str, str]) -> None:
    if not access.password:
        raise TransientError(f"The Airflow connection {access.connection} has no password: it must be the URL.")
    try:
        answer = httpx.post(
            access.password,
            content=body,
            headers={"Content-Type": "application/json", **headers},
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        # Without its cause: that would show the URL in the log.
        raise TransientError(
            f"The password of the Airflow connection {access.connection} is no URL such as https://…"
        ) from None
    except httpx.HTTPError as error:
        raise TransientError(
            f"{what[0].upper()}{what[1:]} of the Airflow connection {access.connection} cannot be reached"
            f" ({type(error).__name__})."
        ) from None
    if not answer.is_success:
        said = " ".join(answer.text[:ANSWER_CHARACTERS].split())
        sentence = f"{what[0].upper()}{what[1:]} answered {answer.status_code}" + (f": {said}" if said else "")
        raise (PermanentError if answer.status_code in NEVER else TransientError)(f"{sentence.rstrip('.')}.")
