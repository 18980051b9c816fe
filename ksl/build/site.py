"""One step call in a workflow's source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

DefinitionKind = Literal["action", "workflow", "agent", "llm"]
SiteKind = Literal["action", "workflow", "agent", "llm", "sleep", "hook", "dynamic"]
SiteScope = Literal["body", "helper", "nested"]

# What a live object is to a workflow, with its slug; None when calling it is no step.
KindOf = Callable[[object], tuple[DefinitionKind, str] | None]


@dataclass(frozen=True, slots=True)
class Site:
    """A step call in the source. Lines count from 1; columns are UTF-8 bytes from 0, as in `co_positions`."""

    key: str | None  # None at a dynamic site, whose callee is only met at run time: see `key_for`
    kind: SiteKind
    callee: str | None  # the slug; "sleep", "hook", "prompt-llm" for those; None at a dynamic site
    file: str
    line: int
    col: int
    end_line: int
    end_col: int
    function: str  # qualname of the function or comprehension that the call stands in
    scope: SiteScope  # "nested": in a def, lambda, class or comprehension inside the body or a helper
    ordinal: int = 0  # the how-manieth site of this callee; at a dynamic site, of the dynamic ones

    def key_for(self, slug: str) -> str:
        """The key of a call of `slug` made here."""
        return self.key if self.key is not None else f"{slug}~d{self.ordinal}"
