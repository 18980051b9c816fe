"""A workflow that breaks a rule which counts as an error: it starts no runs."""

from __future__ import annotations

from functools import cache

from ksl.errors import FixCode


class RuleBroken(FixCode):
    """`code` is that of the rule, by `rule_broken`."""


@cache
def rule_broken(code: str) -> type[RuleBroken]:
    """The error for a rule."""
    return type("RuleBroken", (RuleBroken,), {"code": code, "__module__": __name__})
