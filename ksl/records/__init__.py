"""In: nothing. Out: the values every room speaks: runs, events, hooks, timers, firings, what is asked of the log.

**Invariant:** everything here is data. Nothing reads a clock, a disk or the network.
"""

from ksl.records.activity import Activity
from ksl.records.code import CodeRow
from ksl.records.credential import (
    CredentialChange,
    CredentialPlace,
    CredentialRow,
    CredentialUse,
    Scope,
)
from ksl.records.event import EVENT_TYPES, Event, EventType, Meta
from ksl.records.firing import (
    FiredKey,
    FiringRow,
    Recipient,
    SourceKind,
    SourceState,
    StartedRun,
    SubscriptionRow,
    Switch,
    Unstarted,
    Verdict,
)
from ksl.records.hook import HookRow, HookStatus
from ksl.records.retrying import Retrying
from ksl.records.run import FINISHED, STATUS_LABELS, RunFilter, RunRow, RunStatus, Trigger
from ksl.records.run_term import RunTerm
from ksl.records.timer import TimerKind, TimerRow

__all__ = [
    "EVENT_TYPES",
    "FINISHED",
    "STATUS_LABELS",
    "Activity",
    "CodeRow",
    "CredentialChange",
    "CredentialPlace",
    "CredentialRow",
    "CredentialUse",
    "Event",
    "EventType",
    "FiredKey",
    "FiringRow",
    "HookRow",
    "HookStatus",
    "Meta",
    "Recipient",
    "Retrying",
    "RunFilter",
    "RunRow",
    "RunStatus",
    "RunTerm",
    "Scope",
    "SourceKind",
    "SourceState",
    "StartedRun",
    "SubscriptionRow",
    "Switch",
    "TimerKind",
    "TimerRow",
    "Trigger",
    "Unstarted",
    "Verdict",
]
