"""The timer wheel: timers of the near future by 10 ms slot, with a heap of the occupied slots.

Only what falls into the near window is here; the rest waits in the log's table. It sleeps until the next
occupied slot and never ticks through empty ones.
"""

from __future__ import annotations

import heapq

from ksl.records import TimerRow

SLOT_MS = 10
_Key = tuple[int, str, str, str]


class TimerWheel:
    def __init__(self) -> None:
        # By what a timer is known by in the log: the process that armed it does not matter.
        self._slots: dict[int, dict[_Key, TimerRow]] = {}
        self._order: list[int] = []

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots.values())

    def add(self, timer: TimerRow) -> None:
        number = timer.due_ms // SLOT_MS
        slot = self._slots.get(number)
        if slot is None:
            self._slots[number] = {_key(timer): timer}
            heapq.heappush(self._order, number)
        else:
            slot[_key(timer)] = timer

    def remove(self, timer: TimerRow) -> None:
        slot = self._slots.get(timer.due_ms // SLOT_MS)
        if slot is not None:
            slot.pop(_key(timer), None)

    def next_ms(self) -> int | None:
        """When the earliest timer is due."""
        while self._order:
            slot = self._slots[self._order[0]]
            if slot:
                return min(timer.due_ms for timer in slot.values())
            del self._slots[heapq.heappop(self._order)]
        return None

    def take_due(self, now_ms: int) -> list[TimerRow]:
        """Timers due at or before the moment, earliest first; they leave the wheel."""
        due: list[TimerRow] = []
        while self._order and self._order[0] * SLOT_MS <= now_ms:
            number = self._order[0]
            slot = self._slots[number]
            ripe = sorted(timer for timer in slot.values() if timer.due_ms <= now_ms)
            due.extend(ripe)
            for timer in ripe:
                del slot[_key(timer)]
            if slot:
                break  # the rest of this slot is still to come
            heapq.heappop(self._order)
            del self._slots[number]
        return due


def _key(timer: TimerRow) -> _Key:
    return (timer.due_ms, timer.run_id, timer.step, timer.kind)
