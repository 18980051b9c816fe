"""Figures in the text format of Prometheus (0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING

from ksl.log.store import StoreStats, Waits
from ksl.records import RunStatus

if TYPE_CHECKING:
    from ksl.runtime import Figures, Runtime
    from ksl.trigger.lag import Lag


async def exposition(runtime: Runtime) -> str:
    counts = await runtime.store.run_counts()
    stats = await runtime.store.stats()
    lines = [
        *_family("ksl_runs", "gauge", "Runs by status."),
        *(f'ksl_runs{{status="{status.value}"}} {counts.get(status, 0)}' for status in RunStatus),
        *_of_waits(await runtime.store.waits(runtime.engine.clock.now_ms())),
        *_of_store(stats),
        *_of_runtime(runtime.figures()),
        *_of_sources({"cron": runtime.cron.lag, "poll": runtime.polls.lag}),
    ]
    return "\n".join(lines) + "\n"


def _of_waits(waits: Waits) -> Iterable[str]:
    yield from _gauge("ksl_hooks_waiting", "Hooks that wait for an answer.", waits.hooks)
    yield from _gauge("ksl_timers", "Moments that runs wait for.", waits.timers)
    yield from _gauge("ksl_timers_due", "Of these, those that have come.", waits.timers_due)


def _of_store(stats: StoreStats) -> Iterable[str]:
    yield from _counter("ksl_commits_total", "Transactions committed by this process.", stats.batches)
    yield from _counter("ksl_events_total", "Events stored by this process.", stats.events)
    yield from _gauge("ksl_changes_pending", "Changes appended and not yet committed.", stats.pending)
    yield from _gauge("ksl_database_bytes", "Size of the database file.", stats.database_bytes)
    yield from _gauge("ksl_wal_bytes", "Size of the write-ahead log.", stats.wal_bytes)
    name = "ksl_commit_seconds"
    yield from _family(name, "histogram", "Time of a commit, with its flush.")
    total = 0
    for bound, total in stats.commit_seconds:
        yield f'{name}_bucket{{le="{"+Inf" if bound == inf else f"{bound:g}"}"}} {total}'
    yield f"{name}_sum {stats.commit_seconds_sum:g}"
    yield f"{name}_count {total}"


def _of_runtime(figures: Figures) -> Iterable[str]:
    yield from _gauge("ksl_resident_runs", "Runs held in memory.", figures.resident_runs)
    yield from _gauge("ksl_slots_used", "Runs being advanced.", figures.slots_used)
    yield from _gauge("ksl_queue_depth", "Runs that wait for a slot.", figures.queue_depth)
    yield from _gauge("ksl_steps_in_flight", "Attempts at steps under way.", figures.steps_in_flight)
    yield from _gauge("ksl_timers_armed", "Timers of the next minutes, in memory.", figures.timers_in_window)
    lag = f"{figures.loop_lag_seconds:g}"
    yield from _gauge("ksl_loop_lag_seconds", "How late the event loop was when last looked at.", lag)


def _of_sources(lags: Mapping[str, Lag]) -> Iterable[str]:
    name = "ksl_trigger_lag_seconds"
    yield from _family(name, "summary", "From the moment a tick stands for until its runs were stored.")
    for kind, lag in lags.items():
        yield f'{name}_sum{{kind="{kind}"}} {lag.sum_s:g}'
        yield f'{name}_count{{kind="{kind}"}} {lag.count}'


def _counter(name: str, help_: str, value: float) -> Iterable[str]:
    yield from _family(name, "counter", help_)
    yield f"{name} {value}"


def _gauge(name: str, help_: str, value: float | str) -> Iterable[str]:
    yield from _family(name, "gauge", help_)
    yield f"{name} {value}"


def _family(name: str, kind: str, help_: str) -> Iterable[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
