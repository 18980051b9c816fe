"""Nine in the morning in Berlin, whatever the clocks there are set to; a weekend has no digest."""

from __future__ import annotations

import os

from ksl import CronSource

from workflows.weekday_digest import weekday_digest

weekdays = CronSource(
    slug="weekdays",
    description="Weekday mornings.",
    schedule="0 9 * * mon-fri",
    timezone="Europe/Berlin",
    payload={"folder": os.environ.get("KSL_FEEDS", "feeds")},
    overlap="skip",
    jitter="5m",
)
weekdays.attach(weekday_digest)
