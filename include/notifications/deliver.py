"""Sending what waits in the outbox: one message after another, for a bounded time, whatever fails."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Engine

from include.channels import AnyChannel, MailChannel, Notifications, SlackChannel
from include.errors import PermanentError
from include.notifications.access import Access
from include.notifications.mail import send_mail
from include.notifications.message import Message
from include.notifications.outbox import Taken, failed, sent, take
from include.notifications.post import send_to_slack, send_to_webhook
from include.operations.decide import sentence

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 25.0
"""After this nothing more is begun: with the ten seconds that one may take, the next minute's round is not late."""

AccessTo = Callable[[str], Access]
"""Read an Airflow connection by its id; raises a DtsError where there is none."""


@dataclass(kw_only=True)
class Delivered:
    """What came of a round."""

    sent: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Why, by channel."""


def deliver(
    engine: Engine, notifications: Notifications, *, access_to: AccessTo, budget_seconds: float = BUDGET_SECONDS
) -> Delivered:
    """Send what is due. A channel that does not take one message is left alone until the next round."""
    channels = {channel.name: channel for channel in notifications.channels}
    done = Delivered()
    ends = time.monotonic() + budget_seconds
    while time.monotonic() < ends:
        with engine.begin() as connection:
            taken = take(connection, channels=channels.keys() - done.failed.keys())
        if taken is None:
            break
        try:
            channel = channels[taken.message.channel]
            _send(taken.message, channel, access_to(channel.connection))
        except Exception as error:  # noqa: BLE001 - whatever a channel does, the others get their messages
            _note_failure(engine, taken, error, done=done)
        else:
            with engine.begin() as connection:
                sent(connection, taken)
            done.sent += 1
    return done


def _note_failure(engine: Engine, taken: Taken, error: Exception, *, done: Delivered) -> None:
    name = taken.message.channel
    done.failed[name] = sentence(error)
    logger.warning("The channel %s did not take message %s: %s", name, taken.id, error)
    with engine.begin() as connection:
        failed(connection, taken, error, final=isinstance(error, PermanentError))


def _send(message: Message, channel: AnyChannel, access: Access) -> None:
    if isinstance(channel, MailChannel):
        send_mail(message, channel, access)
    elif isinstance(channel, SlackChannel):
        send_to_slack(message, access)
    else:
        send_to_webhook(message, access)
