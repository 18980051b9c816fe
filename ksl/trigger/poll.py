"""Calls the `run` of poll sources when it is due, and fires for what they found.

What a poll found, the keys of it and where the source goes on from are stored together. A poll is not repeated by
halves: when it raises, when an item does not fit, or when a transform fails, its state stays as it was, the next
one finds the same again, and the keys tell what has fired already.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from ksl.define.duration import format_duration
from ksl.define.poll import PollSource
from ksl.errors import KslError, PollFailed, ShuttingDown
from ksl.records import FiringRow, SourceState, Unstarted
from ksl.trigger.finding import Call, Found
from ksl.trigger.firing import Item, Triggers
from ksl.trigger.lag import Lag

if TYPE_CHECKING:
    from ksl.trigger.clock import Clock

ITEMS_AT_ONCE = 200  # in one transaction
BYTES_AT_ONCE = 1 << 20
BACKOFF_FIRST_MS = 1_000
BACKOFF_MAX_MS = 5 * 60_000
REST_MS = 10_000  # of a source whose outcome could not be stored
UNGIVEN: Any = object()
BY = "poll"  # who fires by the schedule
_LOOK_S = 1.0
_log = logging.getLogger("ksl.trigger")


class Note(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is stored beside the cursor."""

    failures: int = 0  # in a row
    retry_ms: int | None = None  # not before that
    error: str = ""
    disabled: bool = False


class PollLoop:
    """Never polls one source twice at once."""

    def __init__(self, triggers: Triggers, *, clock: Clock) -> None:
        self.lag = Lag()
        self._triggers = triggers
        self._clock = clock
        self._polling: dict[str, asyncio.Task[list[FiringRow]]] = {}
        self._rests_until_ms: dict[str, int] = {}  # of sources whose outcome could not be stored
        self._outlived: set[str] = set()  # sources whose last poll has left a thread that still runs
        self._woken = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        while True:
            try:
                await self.once(self._clock.now_ms())
            except Exception:
                _log.exception("polls could not be begun and are looked at again")
            self._woken.clear()
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def once(self, now_ms: int) -> int:
        """Begins every poll that is due. Returns how many those are; `polling` has them until they are stored."""
        begun = 0
        for source in self._sources():
            if source.slug not in self._polling and not self._rests(source, now_ms):
                try:
                    begun += await self._look(source, now_ms)
                except KslError as error:
                    _log.warning("poll source %s is looked at again: %s", source.slug, error)
                    self._rests_until_ms[source.slug] = now_ms + REST_MS
        return begun

    @property
    def polling(self) -> list[asyncio.Task[list[FiringRow]]]:
        """Polls under way."""
        return list(self._polling.values())

    def next_ms(self) -> int | None:
        """The next moment at which a poll is due; those that are under way are not counted."""
        moments = (
            self._due_ms(source)
            for source in self._sources()
            if source.slug not in self._polling and self._triggers.standing.is_enabled(source.slug)
        )
        return min((moment for moment in moments if moment is not None), default=None)

    async def poll(self, source: PollSource[Any], *, by: str, given: Any = UNGIVEN) -> list[FiringRow]:
        """Polls now, whatever the schedule says, and returns the firings, at least one. A poll that is under way is
        waited for first. `given` is taken for what `run` returned.

        Errors: PollFailed, which is stored too; ShuttingDown, StoreFull, StoreBusy, StoreFailed.
        """
        while (task := self._polling.get(source.slug)) is not None:
            if source.slug in self._outlived:
                raise PollFailed(
                    f"poll source {source.slug}: the thread of an earlier poll has outlived its timeout and is still "
                    "running, and no second one begins beside it. Restart the server if it never ends."
                )
            await asyncio.wait([task])
        return await asyncio.shield(self._begin(source, nominal_ms=self._clock.now_ms(), by=by, given=given))

    async def stop(self) -> None:
        """Cuts off what is under way; the next start polls again."""
        self._stopping = True
        for task in self.polling:
            task.cancel()
        if self._polling:
            await asyncio.wait(self.polling)

    def _sources(self) -> list[PollSource[Any]]:
        return [each for each in self._triggers.project.triggers.values() if isinstance(each, PollSource)]

    def _state(self, source: PollSource[Any]) -> SourceState:
        state = self._triggers.state(source.slug)
        return state if state is not None and _is_of_a_poll(state) else SourceState(source.slug)

    def _rests(self, source: PollSource[Any], now_ms: int) -> bool:
        # Not longer than that, where the clock was set back meanwhile.
        return 0 < self._rests_until_ms.get(source.slug, 0) - now_ms <= REST_MS

    async def _look(self, source: PollSource[Any], now_ms: int) -> bool:
        if not await self._is_enabled(source, now_ms) or source.slug in self._polling:
            return False
        due_ms = self._due_ms(source)
        if due_ms is None or due_ms > now_ms:
            return False
        self._begin(source, nominal_ms=self._nominal_ms(source, now_ms), by=BY)
        return True

    async def _is_enabled(self, source: PollSource[Any], now_ms: int) -> bool:
        enabled = self._triggers.standing.is_enabled(source.slug)
        state = self._state(source)
        note = _note(state)
        if enabled == note.disabled:
            # What would have been polled while it was disabled is not missed.
            note = msgspec.structs.replace(note, disabled=not enabled)
            await self._move(source, None if state.last_ms is None else now_ms, note)
        elif state.last_ms is not None and state.last_ms > now_ms:
            # The clock was set back. Else the source would be silent until it has caught up.
            await self._move(source, now_ms, msgspec.structs.replace(note, retry_ms=None))
        return enabled

    async def _move(self, source: PollSource[Any], last_ms: int | None, note: Note) -> None:
        await self._triggers.save(_state(source, last_ms, self._state(source).cursor, note))

    def _due_ms(self, source: PollSource[Any]) -> int | None:
        rests_ms = self._rests_until_ms.get(source.slug, 0)
        state = self._state(source)
        note = _note(state)
        if state.last_ms is None:
            due_ms = 0  # first seen
        elif note.retry_ms is not None:
            due_ms = note.retry_ms
        else:
            tick_s = source.schedule.next(state.last_ms / 1000)
            due_ms = None if tick_s is None else tick_s * 1000
        return None if due_ms is None else max(due_ms, rests_ms)

    def _nominal_ms(self, source: PollSource[Any], now_ms: int) -> int:
        """The newest tick, where one has come; else the poll is the first, or one more after a failure."""
        last_ms = self._state(source).last_ms
        tick_s = source.schedule.previous(now_ms / 1000 + 0.001)
        if last_ms is None or tick_s is None or tick_s * 1000 <= last_ms:
            return now_ms
        return tick_s * 1000

    def _begin(
        self, source: PollSource[Any], *, nominal_ms: int, by: str, given: Any = UNGIVEN
    ) -> asyncio.Task[list[FiringRow]]:
        if self._stopping:
            raise ShuttingDown(
                "the server is stopping and polls nothing any more. Try again when it is back."
            )
        task = asyncio.create_task(self._poll(source, nominal_ms, by, given), name=f"poll {source.slug}")
        self._polling[source.slug] = task
        task.add_done_callback(lambda task: self._ended(source, task))
        return task

    def _ended(self, source: PollSource[Any], task: asyncio.Task[list[FiringRow]]) -> None:
        del self._polling[source.slug]
        self._woken.set()
        if task.cancelled() or (error := task.exception()) is None or isinstance(error, PollFailed):
            return
        self._rests_until_ms[source.slug] = self._clock.now_ms() + REST_MS
        if isinstance(error, KslError):
            _log.warning("what poll source %s found could not be stored: %s", source.slug, error)
        else:
            _log.error("poll source %s failed", source.slug, exc_info=error)

    async def _poll(self, source: PollSource[Any], nominal_ms: int, by: str, given: Any) -> list[FiringRow]:
        call = Call(source, self._state(source).cursor)
        try:
            found = await call.found() if given is UNGIVEN else call.given(given)
            return await self._fire(source, found, nominal_ms, by)
        except PollFailed as error:
            await self._failed(source, nominal_ms, error, by)
            raise
        finally:
            # A thread that outlived its time cannot be stopped, and no second one is to begin beside it.
            if not self._stopping and not call.thread_ended.is_set():
                _log.warning("poll source %s is not polled before its thread has ended", source.slug)
                self._outlived.add(source.slug)
                try:
                    await call.thread_ended.wait()
                finally:
                    self._outlived.discard(source.slug)

    async def _fire(self, source: PollSource[Any], found: Found, nominal_ms: int, by: str) -> list[FiringRow]:
        state = self._state(source)
        moved = _state(source, nominal_ms, found.cursor, Note())
        new = await self._new(source, found.items)
        rows: list[FiringRow] = []
        failure = ""  # of an item for which nobody got a run: it has to be found again

        def settled(reason: str) -> SourceState:
            failed = failure or reason
            return self._behind(source, state, nominal_ms, failed) if failed else moved

        for piece in _pieces(new, source.each):
            fired = await self._triggers.fire(
                source,
                piece,
                nominal_ms=nominal_ms,
                many=source.each,
                is_filtered=True,
                state=settled if piece[-1] is new[-1] else None,
                by=by,
            )
            rows.append(fired.row)
            failure = failure or fired.unfired
            if fired.runs:
                self.lag.add(self._clock.now_ms() - nominal_ms)
        if not new and by == BY:
            await self._triggers.save(moved)
        elif not new:
            reason = "it found nothing that has not fired before"
            rows.append(
                await self._triggers.note(
                    source, "skipped", reason, nominal_ms=nominal_ms, state=moved, by=by
                )
            )
        return rows

    async def _new(self, source: PollSource[Any], items: list[Item]) -> list[Item]:
        """Those that have not fired, each once."""
        new: dict[str, Item] = {}
        plain: list[Item] = []
        for start in range(0, len(items), 1_000):
            page = items[start : start + 1_000]
            keys = [key.key for item in page for key in item.keys]
            known = await self._triggers.known(source.slug, keys) if keys else {}
            for item in page:
                if not item.keys:
                    plain.append(item)
                elif item.keys[0].key not in known:
                    new.setdefault(item.keys[0].key, item)
        return [*plain, *new.values()]

    def _behind(
        self, source: PollSource[Any], state: SourceState, nominal_ms: int, error: str
    ) -> SourceState:
        """The state stays, and the next poll comes after the backoff."""
        failures = _note(state).failures + 1
        backoff_ms = min(BACKOFF_FIRST_MS << min(failures - 1, 20), BACKOFF_MAX_MS)
        note = Note(failures, self._clock.now_ms() + backoff_ms, self._triggers.kept(error))
        return _state(source, nominal_ms, state.cursor, note)

    async def _failed(self, source: PollSource[Any], nominal_ms: int, error: PollFailed, by: str) -> None:
        state = self._state(source)
        behind = self._behind(source, state, nominal_ms, str(error))
        retry_ms = _note(behind).retry_ms or 0
        _log.warning(
            "%s It is tried again in %s.", error, format_duration((retry_ms - self._clock.now_ms()) / 1000)
        )
        await self._triggers.note(
            source,
            "failed",
            str(error),
            nominal_ms=nominal_ms,
            errors=[Unstarted("", error.type, error.told)],
            state=behind,
            by=by,
        )

    def _wait_s(self) -> float:
        next_ms = self.next_ms()
        if next_ms is None:
            return _LOOK_S
        return max(min((next_ms - self._clock.now_ms()) / 1000, _LOOK_S), 0.001)


def _is_of_a_poll(state: SourceState) -> bool:
    """And not of another kind of source that had the slug before."""
    try:
        _note(state)
    except msgspec.ValidationError:
        return False
    return True


def _note(state: SourceState) -> Note:
    return Note() if state.note is None else msgspec.json.decode(state.note, type=Note)


def _state(source: PollSource[Any], last_ms: int | None, cursor: bytes | None, note: Note) -> SourceState:
    return SourceState(source.slug, last_ms=last_ms, cursor=cursor, note=msgspec.json.encode(note))


def _pieces(items: list[Item], each: bool) -> list[list[Item]]:
    """As many in one transaction as it takes without keeping others waiting."""
    pieces: list[list[Item]] = []
    size = 0
    for item in items:
        if (
            not each
            or not pieces
            or len(pieces[-1]) >= ITEMS_AT_ONCE
            or size + len(item.data) > BYTES_AT_ONCE
        ):
            pieces.append([])
            size = 0
        pieces[-1].append(item)
        size += len(item.data)
    return pieces
