"""A thread that tells when the host loop is blocked, and by what."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback

BLOCKED_S = 1.0
_log = logging.getLogger("ksl.engine")


class Watchdog:
    """Beats on the loop, looks from a thread. Logs the loop's stack once for each time it is blocked."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._beat = time.monotonic()
        self._lag_s = 0.0
        self._stop = threading.Event()
        self._thread_id = threading.get_ident()
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._watch, name="ksl-watchdog", daemon=True)

    @property
    def lag_s(self) -> float:
        """How late the newest beat came."""
        return self._lag_s

    def start(self) -> None:
        self._next_beat()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread.is_alive():
            self._thread.join()

    def _next_beat(self) -> None:
        now = time.monotonic()
        self._lag_s = max(now - self._beat - BLOCKED_S / 4, 0.0)
        self._beat = now
        self._timer = self._loop.call_later(BLOCKED_S / 4, self._next_beat)

    def _watch(self) -> None:
        told_of = 0.0
        while not self._stop.wait(BLOCKED_S / 4):
            beat = self._beat
            blocked_s = time.monotonic() - beat
            if blocked_s > BLOCKED_S and told_of != beat:
                told_of = beat
                frame = sys._current_frames().get(self._thread_id)  # pyright: ignore[reportPrivateUsage]
                stack = "".join(traceback.format_stack(frame)[-12:]) if frame is not None else ""
                _log.warning(
                    "the event loop has been blocked for %.1f s; timers, HTTP and other runs wait. Move blocking "
                    "work into a plain `def` action, which runs in a thread. It is at:\n%s",
                    blocked_s,
                    stack,
                )
