"""In: workflows, stubs, answers, recorded histories. Out: runs to look at, and reports of what went wrong.

**Invariant:** the engine here is the one that serves. Only the clock, the log, the ids and the chance are others:
no file, no socket, no real waiting, and the same seed gives the same run.
"""

from ksl.testing.calls import ActionCall, Calls
from ksl.testing.crash import CrashReport, Finding, crash_test
from ksl.testing.environment import Environment, environment
from ksl.testing.event_log import MemoryEventLog
from ksl.testing.execution import Completed, Failed, Suspended, execute
from ksl.testing.handles import DoesNotReplay, RunFailed, RunHandle, RunNotEnded, WaitingHook
from ksl.testing.history import History, Replayed, replay
from ksl.testing.machine import ActionHangs
from ksl.testing.models import script
from ksl.testing.shown import EventView, Failure, Waiting
from ksl.testing.sources import FiringView

__all__ = [
    "ActionCall",
    "ActionHangs",
    "Calls",
    "Completed",
    "CrashReport",
    "DoesNotReplay",
    "Environment",
    "EventView",
    "Failed",
    "Failure",
    "Finding",
    "FiringView",
    "History",
    "MemoryEventLog",
    "Replayed",
    "RunFailed",
    "RunHandle",
    "RunNotEnded",
    "Suspended",
    "Waiting",
    "WaitingHook",
    "crash_test",
    "environment",
    "execute",
    "replay",
    "script",
]
