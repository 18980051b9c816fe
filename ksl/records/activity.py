"""How much happened of late."""

from __future__ import annotations

import msgspec

from ksl.records.run import RunStatus


class Activity(msgspec.Struct, frozen=True, order=True):
    """Runs of a workflow that were created in one stretch of time and have the same status by now."""

    workflow: str
    place: int  # of the stretch, from 0 for the one that began at the moment asked about
    status: RunStatus
    runs: int
