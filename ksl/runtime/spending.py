"""Budgets, checked before each request to a model against what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ksl.define.budget import Budget
from ksl.engine.attempt import Withdrawn
from ksl.errors import BudgetExceeded, WrongState
from ksl.records.model_use import NO_USE, ModelUse

if TYPE_CHECKING:
    from ksl.agent.services import Bound
    from ksl.build.config import Settings
    from ksl.engine.host import Clock
    from ksl.log.store import Store
    from ksl.records import Event
    from ksl.runtime.runtime import Runtime

_DAY_MS = 86_400_000
_BY = "budget"  # who held a run


class _Granted(NamedTuple):
    """The events of a run since somebody granted its budget again, and when; all of them and 0 where nobody did."""

    events: list[Event]
    at_ms: int


class Spending:
    """Everything is counted from events. A turn whose outcome was not recorded does not count, so a budget is exceeded
    by at most the turns that are under way at once."""

    def __init__(self, runtime: Runtime, *, settings: Settings, store: Store, clock: Clock) -> None:
        self._runtime = runtime
        self._store = store
        self._clock = clock
        models = settings.models
        daily = (models.daily_tokens or None, models.daily_usd or None, models.daily_turns or None)
        self._daily = Budget(*daily, on_exceeded=models.on_exceeded) if any(daily) else None
        self._place: int | None = None  # in the change feed
        self._day: int = 0
        self._today = NO_USE
        self._counting = asyncio.Lock()

    async def check(self, bounds: Sequence[Bound], *, run_id: str, step: str) -> None:
        """Errors: BudgetExceeded; Withdrawn after the run was held."""
        row = await self._store.run(run_id)
        workflow = None if row is None else self._runtime.project.workflows.get(row.workflow)
        of_run = None if workflow is None else workflow.budget
        if bounds or of_run is not None:
            granted = await self._since_grant(run_id)
            for bound in bounds:
                below = [event for event in granted.events if (event.step or "").startswith(f"{bound.step}/")]
                await self._check(bound.budget, _sum(below), f"the agent of step {bound.step}", run_id, step)
            if of_run is not None:
                await self._check(of_run, _sum(granted.events), f"run {run_id}", run_id, step)
        if self._daily is not None:
            await self._check_day(self._daily, run_id, step)

    async def _check_day(self, daily: Budget, run_id: str, step: str) -> None:
        async with self._counting:  # of two that count at once each would take the other's news for its own
            await self._count_today()
        spent, whose = self._today, "this project, for today (UTC)"
        if _over(daily, spent) and daily.on_exceeded == "hold":
            granted = await self._since_grant(run_id)
            if granted.at_ms // _DAY_MS == self._day:  # a person let this run go on, today
                spent, whose = _sum(granted.events), f"run {run_id}, which was let go on today,"
        await self._check(daily, spent, whose, run_id, step)

    async def _check(self, budget: Budget, spent: ModelUse, whose: str, run_id: str, step: str) -> None:
        over = _over(budget, spent)
        if not over:
            return
        said = f"the budget of {whose} is used up: {', '.join(over)}. Step {step} made no request."
        if budget.on_exceeded == "raise":
            raise BudgetExceeded(f"{said} Raise the budget, or make the work smaller, and retry the run.")
        said = f"{said} The run is held; `ksl runs release {run_id}` grants the same amount again."
        with suppress(WrongState):  # another of its steps was here before
            await self._runtime.pause(run_id, reason=said, by=_BY)
        raise Withdrawn(said)

    async def _since_grant(self, run_id: str) -> _Granted:
        """A person who releases a run that a budget held grants the same amount again."""
        await self._store.flush()
        events = await self._store.events(run_id)
        held_by = ""
        granted = _Granted(events, at_ms=0)
        for place, event in enumerate(events):
            if event.type == "run_held":
                held_by = "" if event.meta is None else event.meta.by
            elif event.type == "run_released" and held_by == _BY:
                granted = _Granted(events[place:], event.at_ms)
        return granted

    async def _count_today(self) -> None:
        """Goes on through the feed from where it was."""
        await self._store.flush()
        day: int = self._clock.now_ms() // _DAY_MS
        if day != self._day:
            self._day, self._today = day, NO_USE
        if self._place is None:
            self._place = await self._begin_of_day(day * _DAY_MS)
        while rows := await self._store.feed(self._place, limit=1_000):
            today = [row.event for row in rows if row.event.at_ms // _DAY_MS == day]
            self._today = self._today.plus(_sum(today)) if today else self._today
            self._place = rows[-1].rowid

    async def _begin_of_day(self, begin_ms: int) -> int:
        """A place in the feed before which nothing is of the day. Places grow with time."""
        low, high = 0, await self._store.feed_end()
        while low < high:
            middle = (low + high) // 2
            rows = await self._store.feed(middle, limit=1)
            if rows and rows[0].event.at_ms < begin_ms:
                low = rows[0].rowid
            else:
                high = middle
        return low


def _over(budget: Budget, spent: ModelUse) -> list[str]:
    """The bounds that are reached, in words."""
    bounds = (
        ("tokens", spent.tokens, budget.tokens),
        ("dollars", spent.usd or 0.0, budget.usd),
        ("turns", spent.turns, budget.turns),
    )
    return [
        f"{used:,} of {bound:,} {what}" for what, used, bound in bounds if bound is not None and used >= bound
    ]


def _sum(events: Iterable[Event]) -> ModelUse:
    total = NO_USE
    for event in events:
        # Also of attempts that failed: an answer that fits no schema is billed like any other.
        if event.meta is not None and event.meta.model_use is not None:
            total = total.plus(event.meta.model_use)
    return total
