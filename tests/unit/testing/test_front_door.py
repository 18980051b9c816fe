from __future__ import annotations

import ksl.testing


def test_these_are_the_public_names() -> None:
    """A new one is a line in a diff."""
    assert ksl.testing.__all__ == [
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
