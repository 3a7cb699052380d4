"""Where alarms are sent, as the topology says it. Secrets stand in the Airflow connection that a channel names."""

from datetime import datetime
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, StringConstraints, field_validator, model_validator

from include.alarm_rules import Severity
from include.places import Model, Name
from include.timetable import WeeklyHours

ConnectionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
Address = Annotated[str, StringConstraints(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$", max_length=254)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2000)]


class QuietHours(Model):
    """Hours in which nothing but the urgent is sent; afterwards one summary says what there was."""

    hours: tuple[WeeklyHours, ...] = Field(min_length=1)
    time_zone: str = "UTC"
    """As in `Europe/Berlin`."""
    broken_by: Severity = Severity.CRITICAL
    """From this severity on it is sent all the same."""

    def ends_at(self, instant: datetime) -> datetime | None:
        """Return when the hours that hold at `instant` end (UTC); None: it is not quiet."""
        zone = ZoneInfo(self.time_zone)
        ends = [hours.ends_at(instant, zone=zone) for hours in self.hours]
        return max((each for each in ends if each is not None), default=None)

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {value!r}; write one such as Europe/Berlin") from error
        return value


class Channel(Model):
    """What all channels have."""

    name: Name
    connection: ConnectionId
    """Id of the Airflow connection with what is secret."""
    least_severity: Severity = Severity.WARNING
    """What is less urgent is not sent here."""
    sites: tuple[Name, ...] = ()
    """Only alarms of these sites, and of none (default: all)."""
    grouping_seconds: int = Field(default=60, ge=0, le=3600)
    """So long alarms of an outage are gathered before they are sent as one message."""
    again_after_seconds: int = Field(default=3600, ge=60)
    """What joins an outage that was told of already is sent after this at the earliest, unless it is more urgent."""
    quiet: QuietHours | None = None


class SlackChannel(Channel):
    """A Slack incoming webhook; the connection's password is its whole URL."""

    type: Literal["slack"]


class MailChannel(Channel):
    """E-mail; the connection has host, port, and login and password where the server asks for them."""

    type: Literal["mail"]
    sender: Address
    to: tuple[Address, ...] = Field(min_length=1)
    starttls: bool = True


class WebhookChannel(Channel):
    """JSON by POST; the connection's password is the URL, its extra `signing_key` (if any) signs the body."""

    type: Literal["webhook"]


AnyChannel = Annotated[SlackChannel | MailChannel | WebhookChannel, Field(discriminator="type")]


class Notifications(Model):
    """Channels, and where links in messages lead."""

    page_url: Url | None = None
    """Of the page "Data transfer", such as https://airflow.example.org/dts; unset: messages have no link to it."""
    runbook_url: Url | None = None
    """Where docs/runbook.md can be read; unset: messages name the section."""
    channels: tuple[AnyChannel, ...] = ()

    @model_validator(mode="after")
    def _names_are_different(self) -> Self:
        names = [channel.name for channel in self.channels]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"channels: {', '.join(doubles)} stands twice")
        return self
