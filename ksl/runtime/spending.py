"""Budgets, checked before each request to a model against what is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ksl.define.budget import Budget
from ksl.errors import BudgetExceeded, RetryLater
from ksl.records.model_use import NO_USE, ModelUse

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.engine.host import Clock
    from ksl.log.store import Store
    from ksl.records import Event
    from ksl.runtime.runtime import Runtime

_DAY_MS = 86_400_000


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

    async def check(self, agent: Budget | None, *, run_id: str, step: str, prompt: str | None) -> None:
        """Errors: BudgetExceeded; RetryLater after the run was held."""
        row = await self._store.run(run_id)
        workflow = None if row is None else self._runtime.project.workflows.get(row.workflow)
        of_run = None if workflow is None else workflow.budget
        if agent is None and of_run is None and self._daily is None:
            return
        if agent is not None or of_run is not None:
            await self._store.flush()
            events = _since_release(await self._store.events(run_id))
            if agent is not None and prompt is not None:
                below = [event for event in events if (event.step or "").startswith(f"{prompt}/")]
                await self._check(agent, _sum(below), f"the agent of step {prompt}", run_id, step)
            if of_run is not None:
                await self._check(of_run, _sum(events), f"run {run_id}", run_id, step)
        if self._daily is not None:
            await self._count_today()
            await self._check(self._daily, self._today, "this project, for today (UTC)", run_id, step)

    async def _check(self, budget: Budget, spent: ModelUse, whose: str, run_id: str, step: str) -> None:
        over = [
            f"{used:,} of {bound:,} {what}"
            for what, used, bound in (
                ("tokens", spent.tokens, budget.tokens),
                ("dollars", spent.usd or 0.0, budget.usd),
                ("turns", spent.turns, budget.turns),
            )
            if bound is not None and used >= bound
        ]
        if not over:
            return
        said = f"the budget of {whose} is used up: {', '.join(over)}. Step {step} made no request."
        if budget.on_exceeded == "raise":
            raise BudgetExceeded(f"{said} Raise the budget, or make the work smaller, and retry the run.")
        said = f"{said} The run is held; `ksl runs release {run_id}` grants the same amount again."
        await self._runtime.pause(run_id, reason=said, by="budget")
        raise RetryLater(said)

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


def _since_release(events: list[Event]) -> list[Event]:
    """A person who releases a held run grants its budget anew."""
    for place in range(len(events) - 1, -1, -1):
        if events[place].type == "run_released":
            return events[place:]
    return events


def _sum(events: Iterable[Event]) -> ModelUse:
    total = NO_USE
    for event in events:
        # Also of attempts that failed: an answer that fits no schema is billed like any other.
        if event.meta is not None and event.meta.model_use is not None:
            total = total.plus(event.meta.model_use)
    return total
