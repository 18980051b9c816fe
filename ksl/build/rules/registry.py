"""All rules: every subclass of Rule in a module of this folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache

from ksl.build import rules
from ksl.build.rules.rule import Rule


@cache
def all_rules() -> tuple[Rule, ...]:
    """In the order of their codes. AssertionError when two share one."""
    kinds: set[type[Rule]] = set()
    for module in pkgutil.iter_modules(rules.__path__):
        if not module.name.startswith("_") and module.name != "pages":
            loaded = importlib.import_module(f"{rules.__name__}.{module.name}")
            for value in vars(loaded).values():
                if isinstance(value, type) and issubclass(value, Rule) and not inspect.isabstract(value):
                    kinds.add(value)
    found = tuple(sorted((kind() for kind in kinds), key=lambda rule: rule.code))
    assert len({rule.code for rule in found}) == len(found), "two rules share a code"
    return found
