"""Every alarm leads to a section that says what to do, and no section is about nothing."""

import re
from pathlib import Path

from include.alarm_rules import AlarmRules

RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_each_rule_has_a_section_and_each_section_a_rule() -> None:
    assert sorted(re.findall(r"^## (\w+)$", RUNBOOK, flags=re.MULTILINE)) == sorted(AlarmRules.model_fields)


def test_each_section_says_what_it_means_and_what_to_do() -> None:
    for section in RUNBOOK.split("\n## ")[1:]:
        assert len(section.splitlines()) > 2, section
