"""In: this machine, a project, its data folder. Out: findings, a line each, with what to do.

**Invariant:** a check changes nothing, and one that cannot be made is itself a finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    check: str  # what was looked at, in a word or two
    level: Level
    found: str
    advice: str = ""  # what to do; empty when all is well
