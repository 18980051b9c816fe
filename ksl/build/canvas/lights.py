"""What a run makes of a canvas: the state of each node. The fold over the run's events is in `ksl.views`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

NodeState = Literal[
    "pending", "running", "retrying", "waiting", "done", "failed", "caught", "skipped", "cancelled"
]


@dataclass(frozen=True, slots=True)
class Light:
    """A node may be met many times in a run: in a loop, in parallel branches, behind an opaque block."""

    state: NodeState  # of the newest occurrence; of the most pressing one where several are open
    counts: Mapping[NodeState, int]  # occurrences of the node by state
    tries: int  # attempts of the occurrence that gives the state; 0 where none is recorded
    note: str  # for people: "ConnectionError", "hook, 46h left", "try 3 in 4s"; "" where there is nothing to say
    started_at_ms: int | None
    finished_at_ms: int | None


Lights = Mapping[str, Light]  # by node id: `Step.id`, `Wait.id`. A node that is absent is pending.
