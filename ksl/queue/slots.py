"""Who may advance: at most so many runs at once, and so many of one workflow. First come, first served.

A run holds a slot while it has steps in flight. One that waits for a moment or an answer gives its slot back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec


class Wanted(msgspec.Struct):
    run_id: str
    workflow: str
    limit: int | None  # of this workflow's runs at once
    granted: Callable[[], None]


class Slots:
    def __init__(self, most: int) -> None:
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._held: dict[str, str] = {}  # run -> workflow
        self._used: dict[str, int] = {}  # workflow -> slots
        self._waiting: deque[Wanted] = deque()
        self._parked: dict[str, deque[Wanted]] = {}  # whose workflow is at its own limit
        self._granting = False

    @property
    def used(self) -> int:
        return len(self._held)

    @property
    def depth(self) -> int:
        """How many runs wait for a slot."""
        return len(self._waiting) + sum(len(parked) for parked in self._parked.values())

    def want(self, run_id: str, workflow: str, limit: int | None, granted: Callable[[], None]) -> None:
        """Calls `granted` when the run has a slot: at once if one is free and nobody is before it."""
        wanted = Wanted(run_id, workflow, limit, granted)
        if self._waiting or len(self._held) >= self._most:
            self._waiting.append(wanted)
        else:
            self._offer(wanted)

    def release(self, run_id: str) -> None:
        workflow = self._held.pop(run_id, None)
        if workflow is None:
            return
        self._used[workflow] -= 1
        parked = self._parked.get(workflow)
        if parked:
            self._waiting.appendleft(parked.popleft())
        if self._waiting and not self._granting:
            # Not from here: a run that ends would begin the next one inside its own last turn.
            self._granting = True
            self._loop.call_soon(self._grant)

    def withdraw(self, run_id: str) -> None:
        """A run that waits for a slot no longer wants one."""
        self._waiting = deque(wanted for wanted in self._waiting if wanted.run_id != run_id)
        for workflow, parked in self._parked.items():
            self._parked[workflow] = deque(wanted for wanted in parked if wanted.run_id != run_id)

    def _grant(self) -> None:
        self._granting = False
        while self._waiting and len(self._held) < self._most:
            self._offer(self._waiting.popleft())

    def _offer(self, wanted: Wanted) -> None:
        used = self._used.get(wanted.workflow, 0)
        if wanted.limit is not None and used >= wanted.limit:
            self._parked.setdefault(wanted.workflow, deque()).append(wanted)
            return
        self._used[wanted.workflow] = used + 1
        self._held[wanted.run_id] = wanted.workflow
        wanted.granted()
