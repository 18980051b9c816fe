"""What a rule is."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ksl.build.rules.diagnostic import Finding, Severity
    from ksl.build.rules.reading import Reading


class Rule(ABC):
    """One rule. Its examples are run by tests and shown on its page; its docstring is the page's text.

    An example is Python text, of `workflows/example.py` unless a line such as `# lib/tell.py` starts another
    file. What the bad one breaks the rule with stands between « and ». Both may import `charge`, `notify`,
    `archive` and `audit` from `actions.desk`.
    """

    code: ClassVar[str]
    title: ClassVar[str]  # what is wrong, as a phrase
    bad: ClassVar[str]
    good: ClassVar[str]
    fix: ClassVar[str]
    needs_runs: ClassVar[bool] = False  # the bad example breaks it only under runs of the good one

    @property
    def severity(self) -> Severity:
        return "error" if self.code < "KSL100" else "warning"

    @abstractmethod
    def findings(self, file: Reading) -> Iterator[Finding]:
        """What in this file breaks the rule, in any order."""


EXAMPLE_FILE = "workflows/example.py"
_HEADING = re.compile(r"^# (\S+\.py)\n", re.MULTILINE)


def example_files(text: str) -> dict[str, str]:
    """An example's files by path, marks and all."""
    first, *rest = _HEADING.split(text.strip("\n") + "\n")
    files = {EXAMPLE_FILE: first} if first.strip() else {}
    return files | dict(zip(rest[::2], rest[1::2], strict=True))


def unmarked(text: str) -> str:
    return text.replace("«", "").replace("»", "")
