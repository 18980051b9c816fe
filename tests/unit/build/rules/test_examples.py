from __future__ import annotations

from pathlib import Path

import pytest

from ksl.build.rules.registry import all_rules
from ksl.build.rules.rule import Rule

from tests.unit.build.rules.project import checked, marks

RULES = [rule for rule in all_rules() if not rule.needs_runs]


def code(rule: Rule) -> str:
    return rule.code


@pytest.mark.parametrize("rule", RULES, ids=code)
def test_a_bad_example_breaks_its_rule_at_its_mark_and_no_other(rule: Rule, tmp_path: Path) -> None:
    found = checked(tmp_path, rule.bad)
    assert [(each.code, each.severity) for each in found] == [(rule.code, rule.severity)] * len(found)
    places = [(each.file, each.line, each.col, each.end_line, each.end_col) for each in found]
    assert places == marks(rule.bad)
    assert places


@pytest.mark.parametrize("rule", RULES, ids=code)
def test_a_good_example_breaks_no_rule(rule: Rule, tmp_path: Path) -> None:
    assert checked(tmp_path, rule.good) == []
