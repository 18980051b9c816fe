"""Lends the GIL to a database thread that a busy loop would starve.

A loop that never goes idle drops the GIL only for the instant of its `select(0)`, and a thread waiting for it
nearly never wins that instant: commits have been seen to take 36 s. So, while a thread owes an answer and has
finished nothing for two looks, the loop's own callback waits a moment on an event which that thread sets.
"""

from __future__ import annotations

import asyncio
import threading
import time

LOOK_S = 0.002
SLICE_S = 0.005


class Lender:
    """`sent` on the loop for each job given to the thread, `finished` in the thread after each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sent = 0
        self._finished = 0
        self._seen = 0
        self._signal = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = 0.0
        self._cpu_at = 0.0

    def sent(self) -> None:
        self._sent += 1
        if self._timer is None:
            self._arm()

    def finished(self) -> None:
        self._finished += 1
        self._signal.set()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._seen = self._finished
        self._looked_at = time.monotonic()
        self._cpu_at = time.thread_time()
        self._timer = self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._finished == self._sent:
            return
        if self._finished == self._seen and self._loop_is_busy():
            self._signal.clear()
            if self._finished == self._seen:
                self._signal.wait(SLICE_S)
        self._arm()

    def _loop_is_busy(self) -> bool:
        # A loop that slept through most of the time since the last look starves nobody: the disk is slow,
        # and waiting here would only delay everything else.
        awake = time.thread_time() - self._cpu_at
        return awake > 0.5 * (time.monotonic() - self._looked_at)
