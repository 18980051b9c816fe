"""Turns ticks whose moment has come into firings.

Where a source stands is stored with each firing: the newest tick that was dealt with, and what waits for a run to
end. So a tick is fired or counted as skipped by the policy of its source, and never both or twice. A clock that is set
back makes old ticks come again: those that have fired are known by their keys.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from ksl.define.cron import CronSource
from ksl.errors import KeyTaken, KslError
from ksl.records import FiredKey, Recipient, RunRow, SourceState
from ksl.trigger.firing import Held, Item, Triggers
from ksl.trigger.lag import Lag
from ksl.trigger.misfire import Tick, due_ms, plan

if TYPE_CHECKING:
    from ksl.trigger.clock import Clock

KEYS_KEPT_MS = 35 * 86_400_000  # how far a clock may be set back without a tick firing again
_LOOK_S = 1.0  # how soon a changed wall clock is noticed, and a log that refused is asked again
_REST_MS = 10_000  # of a source whose tick could not be stored
_log = logging.getLogger("ksl.trigger")


class Buffered(msgspec.Struct, frozen=True):
    """A tick that waits until no earlier run of the recipient is unfinished."""

    recipient: Recipient
    nominal_ms: int


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored beside the newest tick."""

    schedule: str
    timezone: str
    newest_ms: int = 0  # the newest tick that ever fired, by whatever clock
    disabled: bool = False
    buffered: tuple[Buffered, ...] = ()
    cancel: tuple[str, ...] = ()  # runs that gave way to the last tick


class Pace:
    """Where one source stands. `last_ms`: the ticks up to it are dealt with."""

    def __init__(self, source: CronSource, last_ms: int, note: Note) -> None:
        self.source = source
        self.last_ms = last_ms
        self.note = note
        self.due_ms = due_ms(source, last_ms)
        self.rests_until_ms = 0

    def move(self, last_ms: int, note: Note) -> None:
        self.last_ms, self.note = last_ms, note
        self.due_ms = due_ms(self.source, last_ms)


class CronLoop:
    """`cancel` asks for a run to be cancelled, and returns when that is stored."""

    def __init__(
        self, triggers: Triggers, *, clock: Clock, cancel: Callable[[str, str], Awaitable[object]]
    ) -> None:
        self.lag = Lag()
        self._triggers = triggers
        self._clock = clock
        self._cancel = cancel
        self._paces: dict[str, Pace] = {}
        self._woken = asyncio.Event()
        self._has_buffered = False  # asked at the end of every run

    async def run(self) -> None:
        while True:
            await self.once(self._clock.now_ms())
            self._woken.clear()
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._woken.wait()
            except TimeoutError:
                pass

    def wake(self) -> None:
        """A run has ended: a tick may have waited for it."""
        if self._has_buffered:
            self._woken.set()

    async def once(self, now_ms: int) -> int:
        """Deals with every tick that is due. Returns how many firings were stored."""
        sources = [each for each in self._triggers.project.triggers.values() if isinstance(each, CronSource)]
        counts = await asyncio.gather(*(self._look(source, now_ms) for source in sources))
        self._has_buffered = any(pace.note.buffered for pace in self._paces.values())
        return sum(counts)

    def next_ms(self) -> int | None:
        """The next moment at which a tick is due."""
        return min(
            (
                max(pace.due_ms, pace.rests_until_ms)
                for pace in self._paces.values()
                if pace.due_ms is not None and not pace.note.disabled
            ),
            default=None,
        )

    async def _look(self, source: CronSource, now_ms: int) -> int:
        pace = self._paces.get(source.slug)
        if pace is not None and 0 < pace.rests_until_ms - now_ms <= _REST_MS:
            return 0  # not longer than that, where the clock was set back meanwhile
        try:
            if pace is None:
                pace = self._paces[source.slug] = await self._begin(source, now_ms)
            return await self._deal(pace, now_ms)
        except KslError as error:
            _log.warning("cron source %s could not fire and is looked at again: %s", source.slug, error)
        except Exception:
            _log.exception("cron source %s could not fire and is looked at again", source.slug)
        if pace is not None:
            pace.rests_until_ms = now_ms + _REST_MS
        return 0

    async def _begin(self, source: CronSource, now_ms: int) -> Pace:
        """Where the source stood when the last process ended; from now on, for one that is new."""
        schedule = source.schedule
        fresh = Note(schedule.expression, schedule.timezone)
        state = self._triggers.state(source.slug)
        note = None if state is None else _note(state)
        if state is None or state.last_ms is None or note is None:
            pace = Pace(source, now_ms, fresh)
            await self._save(pace)
            return pace
        if (note.schedule, note.timezone) != (fresh.schedule, fresh.timezone):
            # Ticks of the old schedule are no ticks any more, and those of the new one were not due then.
            note = msgspec.structs.replace(note, schedule=fresh.schedule, timezone=fresh.timezone)
            pace = Pace(source, now_ms, note)
            await self._save(pace)
        else:
            pace = Pace(source, state.last_ms, note)
        await self._give_way(pace)
        return pace

    async def _deal(self, pace: Pace, now_ms: int) -> int:
        enabled = self._triggers.standing.is_enabled(pace.source.slug)
        if enabled == pace.note.disabled:
            # What would have come while it was disabled is not missed.
            pace.move(now_ms, msgspec.structs.replace(pace.note, disabled=not enabled))
            await self._save(pace)
        if not enabled:
            return 0
        if now_ms < pace.last_ms:
            # The clock was set back. What has not fired by the wrong time fires by the right one.
            pace.move(now_ms, pace.note)
            await self._save(pace)
        fired = 0
        if pace.due_ms is not None and pace.due_ms <= now_ms:
            fired += await self._fire_due(pace, now_ms)
        for waiting in pace.note.buffered:
            fired += await self._fire_buffered(pace, waiting)
        return fired

    async def _fire_due(self, pace: Pace, now_ms: int) -> int:
        due = plan(pace.source, pace.last_ms, now_ms)
        if due is None:
            return 0
        for tick in due.ticks:
            until_ms = due.until_ms if tick is due.ticks[-1] else tick.nominal_ms
            await self._fire(pace, tick, until_ms)
        if not due.ticks:
            reason = f"missed while nobody was there: {due.skipped}, left out by misfire=skip"
            moved = SourceState(pace.source.slug, due.until_ms, note=msgspec.json.encode(pace.note))
            await self._triggers.note(
                pace.source,
                "skipped",
                reason,
                nominal_ms=due.until_ms,
                skipped=due.skipped,
                state=moved,
                by="cron",
            )
            pace.move(due.until_ms, pace.note)
        return len(due.ticks) or 1

    async def _fire(self, pace: Pace, tick: Tick, until_ms: int) -> None:
        source, slug = pace.source, pace.source.slug
        key = str(tick.nominal_ms)
        if tick.nominal_ms <= pace.note.newest_ms and await self._triggers.known(slug, [key]):
            pace.move(until_ms, pace.note)  # it has fired, before the clock was set back
            await self._save(pace)
            return
        recipients = self._triggers.standing.recipients(source)
        held, buffered, cancel = await self._overlapping(pace, recipients, tick)
        note = msgspec.structs.replace(
            pace.note,
            newest_ms=max(pace.note.newest_ms, tick.nominal_ms),
            buffered=(*pace.note.buffered, *buffered),
            cancel=tuple(run.run_id for run in cancel),
        )
        await self._store(pace, tick, key, recipients, held, until_ms, note)
        await self._give_way(pace)

    async def _overlapping(
        self, pace: Pace, recipients: list[Recipient], tick: Tick
    ) -> tuple[list[Held], list[Buffered], list[RunRow]]:
        """Who gets no run of this tick, whose waits, and which runs give way to it."""
        overlap = pace.source.overlap
        held: list[Held] = []
        buffered: list[Buffered] = []
        cancel: list[RunRow] = []
        waiting = {each.recipient for each in pace.note.buffered}
        for recipient in recipients if overlap != "allow" else ():
            unfinished = await self._triggers.unfinished(pace.source.slug, recipient)
            if not unfinished and recipient not in waiting:
                continue
            what = (
                f"run {unfinished[0].run_id}, started by an earlier tick," if unfinished else "an earlier run"
            )
            if overlap == "cancel_other":
                cancel += unfinished
            elif overlap == "skip" or recipient in waiting:
                also = ", and an earlier tick waits for its end" if recipient in waiting else ""
                held.append(Held(recipient, "overlap", f"{what} is unfinished{also}"))
            else:
                held.append(
                    Held(recipient, "buffered", f"{what} is unfinished; this tick starts when it ends")
                )
                buffered.append(Buffered(recipient, tick.nominal_ms))
        return held, buffered, cancel

    async def _fire_buffered(self, pace: Pace, waiting: Buffered) -> int:
        left = tuple(each for each in pace.note.buffered if each != waiting)
        note = msgspec.structs.replace(pace.note, buffered=left)
        recipient = waiting.recipient
        if recipient not in self._triggers.standing.recipients(pace.source):
            pace.move(pace.last_ms, note)  # detached, disabled or unsubscribed meanwhile
            await self._save(pace)
            return 0
        if await self._triggers.unfinished(pace.source.slug, recipient):
            return 0
        key = f"{waiting.nominal_ms}/{recipient.workflow}/{recipient.subscriber or ''}"
        await self._store(pace, Tick(waiting.nominal_ms), key, [recipient], [], pace.last_ms, note)
        return 1

    async def _store(
        self,
        pace: Pace,
        tick: Tick,
        key: str,
        recipients: list[Recipient],
        held: list[Held],
        until_ms: int,
        note: Note,
    ) -> None:
        slug = pace.source.slug
        expires_ms = max(tick.nominal_ms, self._clock.now_ms()) + KEYS_KEPT_MS
        state = SourceState(slug, last_ms=until_ms, note=msgspec.json.encode(note))
        try:
            fired = await self._triggers.fire(
                pace.source,
                [Item(pace.source.data, (FiredKey(slug, key, expires_ms),))],
                nominal_ms=tick.nominal_ms,
                state=state,
                skipped=tick.skipped,
                recipients=recipients,
                held_back=held,
                by="cron",
            )
        except KeyTaken:
            pace.move(until_ms, note)
            await self._save(pace)
            return
        pace.move(until_ms, note)
        if fired.runs:
            self.lag.add(self._clock.now_ms() - tick.nominal_ms)

    async def _give_way(self, pace: Pace) -> None:
        """Cancels the runs that the last tick found unfinished. Noted with that tick, so a crash before this does
        not leave them running; asking twice changes nothing."""
        if not pace.note.cancel:
            return
        for run_id in pace.note.cancel:
            try:
                await self._cancel(run_id, f"a later tick of {pace.source.slug} takes its place")
            except KslError as error:
                _log.debug("run %s need not give way any more: %s", run_id, error)
        pace.note = msgspec.structs.replace(pace.note, cancel=())
        await self._save(pace)  # else a restart would cancel them again, though somebody retried them

    async def _save(self, pace: Pace) -> None:
        note = msgspec.json.encode(pace.note)
        await self._triggers.save(SourceState(pace.source.slug, last_ms=pace.last_ms, note=note))

    def _wait_s(self) -> float:
        next_ms = self.next_ms()
        if next_ms is None:
            return _LOOK_S
        # Never longer than a look: the wall clock may be set forward, or the machine have slept.
        return max(min((next_ms - self._clock.now_ms()) / 1000, _LOOK_S), 0.001)


def _note(state: SourceState) -> Note | None:
    """None where there is none, and where it is that of another kind of source that had the slug before."""
    try:
        return None if state.note is None else msgspec.json.decode(state.note, type=Note)
    except msgspec.ValidationError:
        return None
