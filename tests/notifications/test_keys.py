"""Rules and channels in the topology file: defaults, and mistakes with their place."""

from typing import Any

import pytest
import yaml

from include.alarm_rules import Severity
from include.cli.topology_changes import changes
from include.errors import TopologyError
from include.topology import Topology, parse_topology
from tests.observatory import SANDBOX


def topology(**keys: Any) -> Topology:
    content = yaml.safe_load(SANDBOX.read_text()) | keys
    return parse_topology(yaml.safe_dump(content), where="the file")


SLACK = {"name": "ops", "type": "slack", "connection": "slack_ops"}
MAIL = {"name": "mail", "type": "mail", "connection": "smtp", "sender": "dts@example.org", "to": ["a@example.org"]}


def test_a_file_that_says_nothing_has_every_rule_and_no_channel() -> None:
    found = topology()
    assert found.alarms.lane_stalled.enabled
    assert found.alarms.corrupt_copy.severity is Severity.CRITICAL
    assert found.notifications.channels == ()


def test_a_file_changes_only_what_it_names() -> None:
    alarms = topology(alarms={"lane_stalled": {"severity": "critical"}}).alarms
    assert (alarms.lane_stalled.severity, alarms.lane_stalled.hours) == (Severity.CRITICAL, 2)


def test_channels_of_all_types_stand_there() -> None:
    quiet = {"hours": [{"days": ["sat", "sun"]}, {"from": "20:00", "until": "08:00"}], "time_zone": "Europe/Berlin"}
    hook = {"name": "hook", "type": "webhook", "connection": "hook", "sites": ["ccat"], "quiet": quiet}
    found = topology(notifications={"page_url": "https://x.org/dts", "channels": [SLACK, MAIL, hook]})
    assert [channel.type for channel in found.notifications.channels] == ["slack", "mail", "webhook"]
    assert Topology.model_validate(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"alarms": {"lane_staled": {}}}, ["alarms.lane_staled: Extra inputs"]),
        ({"alarms": {"backlog": {"hours": 0}}}, ["alarms.backlog.hours", "greater than 0"]),
        ({"alarms": {"backlog": {"severity": "bad"}}}, ["alarms.backlog.severity", "'critical'"]),
        ({"notifications": {"channels": [SLACK | {"type": "pigeon"}]}}, ["notifications.channels.0", "'pigeon'"]),
        ({"notifications": {"channels": [SLACK | {"sites": ["mars"]}]}}, ["channels.ops: there is no site mars"]),
        ({"notifications": {"channels": [SLACK, SLACK]}}, ["channels: ops stands twice"]),
        ({"notifications": {"channels": [SLACK | {"url": "https://x"}]}}, ["channels.0.slack.url: Extra inputs"]),
        ({"notifications": {"channels": [MAIL | {"to": ["nobody"]}]}}, ["channels.0.mail.to.0"]),
        ({"notifications": {"channels": [SLACK | {"quiet": {"hours": []}}]}}, ["quiet.hours", "at least 1"]),
        (
            {"notifications": {"channels": [SLACK | {"quiet": {"hours": [{}], "time_zone": "Mars/North"}}]}},
            ["there is no time zone 'Mars/North'"],
        ),
    ],
)
def test_each_mistake_is_named_with_its_place(keys: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(TopologyError) as raised:
        topology(**keys)
    for word in words:
        assert word in str(raised.value)


def test_the_example_in_the_observatorys_own_file_is_valid() -> None:
    lines = (SANDBOX.parent / "ccat.yaml").read_text().splitlines()
    begins = lines.index("# notifications:")
    example = [line.removeprefix("# ") for line in lines[begins : lines.index("", begins)]]
    found = topology(**yaml.safe_load("\n".join(example)))
    assert [channel.name for channel in found.notifications.channels] == ["operations", "oncall"]


def test_what_changes_is_shown_when_a_topology_is_applied() -> None:
    before = topology(notifications={"channels": [SLACK]}).model_dump(mode="json")
    muted = SLACK | {"least_severity": "critical"}
    after = topology(alarms={"backlog": {"hours": 9}}, notifications={"channels": [muted, MAIL]})
    assert list(changes(before, after.model_dump(mode="json"))) == [
        "  alarms.backlog.hours: 24.0 -> 9.0",
        "  notifications.channels.ops.least_severity: warning -> critical",
        "+ notifications.channels.mail",
    ]
    older = {key: value for key, value in before.items() if key not in {"alarms", "notifications"}}
    assert "+ notifications.channels.ops" in list(changes(older, before))
