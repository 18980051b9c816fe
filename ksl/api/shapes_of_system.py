"""The shapes of what a server tells of itself, for /openapi.json alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class VersionsShape(BaseModel):
    ksl: str
    python: str
    sqlite: str


class SystemShape(BaseModel):
    ready: bool
    reason: str | None
    pid: int
    started_at: datetime
    uptime_s: int
    versions: VersionsShape
    runs: dict[str, int] = Field(description="How many there are of each status")
    advancing: int = Field(description="Runs with steps in flight; each has a slot")
    slots: int
    queue_depth: int = Field(description="Runs that wait for a slot")
    oldest_wait_s: float | None
    steps_in_flight: int
    resident_runs: int
    timers: int
    timers_due: int
    hooks_waiting: int
    loop_lag_s: float
    trigger_lag_s: dict[str, float | None] = Field(description="Of the newest tick; null before the first")
    commits: int
    events: int
    changes_pending: int
    database_bytes: int
    wal_bytes: int
    durability: str
    disk_free_bytes: int


class LogLineShape(BaseModel):
    model_config = ConfigDict(extra="allow")

    at: datetime
    level: str
    message: str
    logger: str = ""
    run_id: str = ""
    step_id: Any = None


class LogShape(BaseModel):
    lines: list[LogLineShape]
    after: str
    missed: int
