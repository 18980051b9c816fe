"""Steps between being asked for and being performed: behind a commit, in line for a slot, started on disk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ksl.records import Meta

if TYPE_CHECKING:
    from ksl.engine.call import Call
    from ksl.engine.run import Run


def issue_wanted(run: Run) -> None:
    """What this turn asked for, once everything its body could have observed is stored."""
    wanted = list(run.wanted.values())
    run.wanted.clear()
    if run.barrier > run.stored_seq:
        run.blocked.append((run.barrier, wanted))
    elif run.has_slot:
        _perform_all(run, wanted)
    else:
        _wait_in_line(run, wanted)


def issue_stored(run: Run) -> None:
    """What waited for a commit that has come."""
    blocked = run.blocked
    while blocked and blocked[0][0] <= run.stored_seq:
        _, calls = blocked.pop(0)
        if run.has_slot:
            _perform_all(run, calls)
        else:
            _wait_in_line(run, calls)


def _wait_in_line(run: Run, calls: list[Call]) -> None:
    if run.in_line:
        run.in_line.extend(calls)
    else:
        run.in_line = list(calls)
        run.host.want_slot(run, partial(_admitted, run))


def _admitted(run: Run) -> None:
    calls, run.in_line = run.in_line, []
    _perform_all(run, calls)
    if run.active == run.waiting and run.has_slot:
        # The body gave up on them while they were in line, or they wait for other runs since before.
        run.host.release_slot(run)


def _perform_all(run: Run, calls: list[Call]) -> None:
    once: list[Call] = []
    for call in calls:
        if call.done() or call.id not in run.asked:
            continue
        if call.action is not None and call.action.effect == "at_most_once":
            once.append(call)
        elif not run.paused:
            run.host.perform(run, call, run.attempts.get(call.id, 0) + 1)
    if once and not run.host.stopping:
        for call in once:
            meta = Meta(
                attempt=run.attempts.get(call.id, 0) + 1,
                after=call.after,
                kind="action",
                callee=call.callee,
            )
            run.record("step_started", call.id, input=call.input, meta=meta)
        # Their start is on disk before they start: found there without an outcome, they are not run again.
        run.change.stored = lambda: _perform_started(run, once)
        run.flush()


def _perform_started(run: Run, calls: list[Call]) -> None:
    for call in calls:
        if not call.done() and call.id in run.asked and not run.evicting and not run.paused:
            run.host.perform(run, call, run.attempts.get(call.id, 0) + 1)
