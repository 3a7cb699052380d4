"""Sending e-mail. The Message-ID is made of the message's key, so that a mailbox knows the same one again."""

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage

from include.alarm_rules import Severity
from include.channels import MailChannel
from include.errors import PermanentError, TransientError
from include.notifications.access import Access
from include.notifications.message import Message
from include.operations.decide import sentence

TIMEOUT_SECONDS = 10.0
DEFAULT_PORT = 587
NEVER = 500
"""Answers from here on are final, says RFC 5321."""


def send_mail(message: Message, channel: MailChannel, access: Access) -> None:
    """Send it to all addresses of the channel.

    Raises:
        TransientError: the server did not take it, and may later; or STARTTLS or the login did not work.
        PermanentError: the server will never take this one.
    """
    if not access.host:
        raise TransientError(f"The Airflow connection {access.connection} has no host: add the mail server.")
    try:
        with smtplib.SMTP(access.host, access.port or DEFAULT_PORT, timeout=TIMEOUT_SECONDS) as server:
            if channel.starttls:
                server.starttls(context=ssl.create_default_context())
            if access.login and access.password:
                server.login(access.login, access.password)
            server.send_message(_mail(message, channel), from_addr=channel.sender, to_addrs=channel.to)
    except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
        raise _refusal(error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise _refusal(code, text) from None
    except (OSError, smtplib.SMTPException) as error:
        raise TransientError(f"The mail server {access.host} did not take it: {sentence(error)}") from None


def _refusal(code: int, text: bytes | str) -> PermanentError | TransientError:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    kind = PermanentError if code >= NEVER else TransientError
    return kind(f"The mail server answered {code}: {sentence(Exception(said))}")


def _mail(message: Message, channel: MailChannel) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = f"[data transfer] {message.title}"
    mail["From"] = channel.sender
    mail["To"] = [Address(addr_spec=address) for address in channel.to]
    mail["Message-ID"] = f"<{message.key}@{channel.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    if message.severity is Severity.CRITICAL:
        mail["Importance"] = "high"
    mail.set_content(message.text())
    return mail
