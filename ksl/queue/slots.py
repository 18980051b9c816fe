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
    since_s: float = 0.0  # by the loop's clock, from when it had to wait


class Slots:
    def __init__(self, most: int) -> None:
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._held: dict[str, str] = {}  # run -> workflow
        self._used: dict[str, int] = {}  # workflow -> slots
        self._waiting: deque[Wanted] = deque()
        self._parked: dict[str, deque[Wanted]] = {}  # whose workflow is at its own limit
        self._called: deque[Wanted] = deque()  # were parked, and their workflow has room: before all others
        self._called_of: dict[str, int] = {}
        self._granting = False

    @property
    def used(self) -> int:
        return len(self._held)

    @property
    def depth(self) -> int:
        """How many runs wait for a slot."""
        return len(self._waiting) + len(self._called) + sum(map(len, self._parked.values()))

    @property
    def oldest_wait_s(self) -> float | None:
        """How long the run has waited that waits for a slot longest."""
        first = [line[0].since_s for line in (self._waiting, self._called, *self._parked.values()) if line]
        return self._loop.time() - min(first) if first else None

    @property
    def is_granting(self) -> bool:
        """A slot is free, and goes to whoever is next before long."""
        return self._granting

    def want(self, run_id: str, workflow: str, limit: int | None, granted: Callable[[], None]) -> None:
        """Calls `granted` when the run has a slot: at once if one is free and nobody is before it."""
        if run_id in self._held:
            granted()
            return
        wanted = Wanted(run_id, workflow, limit, granted)
        if self._waiting or self._called or len(self._held) >= self._most:
            wanted.since_s = self._loop.time()
            self._waiting.append(wanted)
        else:
            self._offer(wanted)

    def release(self, run_id: str) -> None:
        workflow = self._held.pop(run_id, None)
        if workflow is None:
            return
        self._used[workflow] -= 1
        self._call(workflow)
        self._grant_soon()

    def withdraw(self, run_id: str) -> None:
        """A run that waits for a slot no longer wants one."""
        self._waiting = _without(run_id, self._waiting)
        for wanted in self._called:
            if wanted.run_id == run_id:
                self._called_of[wanted.workflow] -= 1
        self._called = _without(run_id, self._called)
        for workflow, parked in self._parked.items():
            self._parked[workflow] = _without(run_id, parked)
            self._call(workflow)  # room that was kept for the one that left is the next one's
        self._grant_soon()

    def _call(self, workflow: str) -> None:
        parked = self._parked.get(workflow)
        if parked:
            called = self._called_of.get(workflow, 0)
            if self._used.get(workflow, 0) + called < (parked[0].limit or 0):
                self._called_of[workflow] = called + 1
                self._called.append(parked.popleft())

    def _grant_soon(self) -> None:
        if (self._waiting or self._called) and not self._granting:
            # Not from a release: a run that ends would begin the next one inside its own last turn.
            self._granting = True
            self._loop.call_soon(self._grant)

    def _grant(self) -> None:
        self._granting = False
        while (self._called or self._waiting) and len(self._held) < self._most:
            if self._called:
                wanted = self._called.popleft()
                self._called_of[wanted.workflow] -= 1
            else:
                wanted = self._waiting.popleft()
            self._offer(wanted)

    def _offer(self, wanted: Wanted) -> None:
        if wanted.run_id in self._held:
            wanted.granted()  # asked twice: it is one slot
            return
        used = self._used.get(wanted.workflow, 0)
        # Those called before it have a claim on the room that is left.
        if wanted.limit is not None and used + self._called_of.get(wanted.workflow, 0) >= wanted.limit:
            wanted.since_s = wanted.since_s or self._loop.time()
            self._parked.setdefault(wanted.workflow, deque()).append(wanted)
            return
        self._used[wanted.workflow] = used + 1
        self._held[wanted.run_id] = wanted.workflow
        wanted.granted()


def _without(run_id: str, wanted: deque[Wanted]) -> deque[Wanted]:
    return deque(each for each in wanted if each.run_id != run_id)
