"""A ledger of effects: one line for each time an action's code really ran.

Off unless `KSL_DEMO_LEDGER` names a file. `examples/demo.py` reads it after killing the server, to show
that no step whose result was recorded ran a second time.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ksl import ActionContext

LEDGER_VARIABLE = "KSL_DEMO_LEDGER"


def note_effect(ctx: ActionContext) -> None:
    """Call it first thing in an action, so that an attempt cut off half-way leaves its line too."""
    ledger = os.environ.get(LEDGER_VARIABLE)
    if not ledger:
        return
    line = {
        "run": ctx.run_id,
        "step": ctx.step_id,
        "attempt": ctx.attempt,
        "key": ctx.idempotency_key,
        "pid": os.getpid(),
    }
    # One write in append mode: lines of parallel actions, and of two processes, never mix.
    descriptor = os.open(Path(ledger), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)
