"""Deliveries that were refused: kept with the reason for whoever debugs them, and never more than a few.

Whoever reaches the server can cause a refusal, so refusals cost neither disk nor memory in proportion: the newest
are kept, the others only counted, and one write at a time is under way. Nobody waits for that write.
"""

from __future__ import annotations

from collections import deque

from ksl.errors import KslError
from ksl.log.store import Change, Store
from ksl.log.trigger_rows import REJECTED_MAX, TriggerRows
from ksl.records import FiringRow


class Refusals:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._newest: dict[str, deque[FiringRow]] = {}
        self._counts: dict[str, int] = {}
        self._writing = False

    def add(self, row: FiringRow) -> None:
        """Call it on the host loop."""
        self._newest.setdefault(row.source, deque(maxlen=REJECTED_MAX)).append(row)
        self._counts[row.source] = self._counts.get(row.source, 0) + 1
        if not self._writing:
            self._write()

    def _write(self) -> None:
        rows = [row for newest in self._newest.values() for row in newest]
        counts, self._counts, self._newest = self._counts, {}, {}
        self._writing = True
        added = TriggerRows(rows[-1].at_ms, firings=rows, refused=counts)
        self._store.append(
            Change(run_id=rows[-1].firing_id, triggers=added, stored=self._written, lost=self._lost)
        )

    def _written(self) -> None:
        self._writing = False
        if self._counts:
            self._write()

    def _lost(self, _error: KslError) -> None:
        # A full disk is told of by those who wait for it; what was refused meanwhile is not worth another try.
        self._writing = False
        self._counts, self._newest = {}, {}
