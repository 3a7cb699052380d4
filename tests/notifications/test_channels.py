"""What arrives at Slack, at a webhook and in a mailbox; what is said when it does not; and that no secret is said."""

import hashlib
import hmac
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from include.channels import MailChannel
from include.errors import PermanentError, TransientError
from include.notifications.access import Access
from include.notifications.mail import send_mail
from include.notifications.message import Message, message
from include.notifications.post import send_to_slack, send_to_webhook
from include.ops_db.states import NotificationKind
from include.sandbox.ports import free_port
from tests.notifications.known import alarm, notifications
from tests.notifications.receivers import Web, mailbox, web

MAIL = MailChannel(
    name="mail", type="mail", connection="mail", sender="dts@example.org", to=("a@example.org", "b@example.org")
)
PLAIN = MAIL.model_copy(update={"starttls": False})


@pytest.fixture
def hook() -> Iterator[Web]:
    with web() as got:
        yield got


def news(sentence: str = "The buffer is full.") -> Message:
    return message(
        NotificationKind.BEGIN, [alarm(sentence=sentence)], channel="hook", outage="ccat", notifications=notifications()
    )


def at(url: str | None, **more: str) -> Access:
    return Access(connection="hook", password=url, **more)


def test_slack_gets_a_text_in_which_nothing_is_taken_for_its_own(hook: Web) -> None:
    send_to_slack(news("<!channel> 3 > 2 & 1."), at(hook.url))
    (body,) = hook.bodies
    assert body["text"].startswith("*WARNING: ccat: 1 alarm*\n[warning] &lt;!channel&gt; 3 &gt; 2 &amp; 1.\n(since ")
    assert body["unfurl_links"] is False


def test_a_webhook_gets_json_with_the_key_of_the_message_and_a_signature(hook: Web) -> None:
    sent = news()
    send_to_webhook(sent, at(hook.url, signing_key="k"))
    ((headers, body),) = hook.requests
    assert Message.model_validate_json(body) == sent
    assert headers["idempotency-key"] == sent.key
    assert headers["x-dts-signature-256"] == f"sha256={hmac.new(b'k', body, hashlib.sha256).hexdigest()}"


def test_without_a_key_a_webhook_is_not_signed(hook: Web) -> None:
    send_to_webhook(news(), at(hook.url))
    assert "x-dts-signature-256" not in hook.requests[0][0]


@pytest.mark.parametrize(("status", "kind"), [(500, TransientError), (404, TransientError), (400, PermanentError)])
def test_what_a_webhook_answers_is_said_without_its_address(hook: Web, status: int, kind: type[Exception]) -> None:
    hook.answers = [status]
    with pytest.raises(kind, match=f"Slack answered {status}: no_service.") as raised:
        send_to_slack(news(), at(hook.url))
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("url", [f"http://127.0.0.1:{free_port()}/s3cret", "s3cret", "ftp://s3cret", "http://[s3cret"])
def test_an_address_that_leads_nowhere_is_not_said_either(url: str) -> None:
    with pytest.raises(TransientError) as raised:
        send_to_webhook(news(), at(url))
    assert "connection hook" in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_connection_without_an_address_is_named() -> None:
    with pytest.raises(TransientError, match="connection hook has no password: it must be the URL"):
        send_to_webhook(news(), at(None))
    with pytest.raises(TransientError, match="connection mail has no host"):
        send_mail(news(), MAIL, Access(connection="mail"))


def test_a_mail_goes_to_all_with_an_id_that_is_the_same_each_time() -> None:
    sent = news("Der Puffer ist voll: äöü.")
    with mailbox() as got:
        for _ in range(2):
            send_mail(sent, PLAIN, Access(connection="mail", host="127.0.0.1", port=got.port))
    first, again = got.mails
    assert got.recipients[0] == ["a@example.org", "b@example.org"]
    assert first["Subject"] == "[data transfer] WARNING: ccat: 1 alarm"
    assert first["Message-ID"] == again["Message-ID"] == f"<{sent.key}@example.org>"
    assert "Der Puffer ist voll: äöü." in first.get_content()
    assert got.logins == []


def test_a_mail_goes_over_starttls_with_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = _tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    access = {"connection": "mail", "host": "localhost", "login": "dts", "password": "secret"}
    with mailbox(tls=tls, takes_logins=True) as got:
        send_mail(news(), MAIL, Access(**access, port=got.port))
    assert (got.secured, len(got.logins)) == ([True], 1)


def test_a_password_is_never_sent_where_starttls_fails(tmp_path: Path) -> None:
    """To a server that does not offer it, or whose certificate nobody knows."""
    for tls in (None, _tls(tmp_path)):
        with mailbox(tls=tls, takes_logins=True) as got:
            access = Access(connection="mail", host="localhost", port=got.port, login="dts", password="secret")
            with pytest.raises(TransientError, match="The mail server localhost did not take it"):
                send_mail(news(), MAIL, access)
        assert (got.logins, got.mails) == ([], [])


@pytest.mark.parametrize(("answer", "kind"), [("451 busy", TransientError), ("554 spam", PermanentError)])
def test_what_a_mail_server_answers_is_said(answer: str, kind: type[Exception]) -> None:
    with mailbox() as got:
        got.refuses = answer
        with pytest.raises(kind, match=f"The mail server answered {answer.replace(' ', ': ')}"):
            send_mail(news(), PLAIN, Access(connection="mail", host="127.0.0.1", port=got.port))


def _tls(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
