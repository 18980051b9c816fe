"""One time a source fired, with what it started, and what is stored beside it."""

from __future__ import annotations

from typing import Literal

import msgspec

SourceKind = Literal["webhook", "cron", "poll"]
# failed: a filter or transform raised, or an input did not fit; other attachments may have got their run.
Verdict = Literal["started", "skipped", "rejected", "failed"]


class Recipient(msgspec.Struct, frozen=True):
    """Who gets a run of a firing: a workflow, or one of its subscribers."""

    workflow: str
    subscriber: str | None = None


class StartedRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that a firing started. `item` is the place of its payload, where there are many."""

    run_id: str
    workflow: str
    subscriber: str | None = None
    item: int = 0


class Unstarted(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that a firing did not start: an error, or a policy that kept it back."""

    workflow: str  # empty: none of them, since the filter raised
    type: str  # of the error, or the policy
    message: str
    subscriber: str | None = None
    item: int = 0
    held_back: bool = False


class FiringRow(msgspec.Struct, frozen=True):
    firing_id: str
    source: str
    kind: SourceKind
    at_ms: int
    nominal_ms: int  # the moment it stands for: of a cron tick the planned one
    verdict: Verdict
    reason: str = ""
    payload: bytes | None = None  # JSON: one payload, or a list of them where `many`
    many: bool = False
    runs: tuple[StartedRun, ...] = ()
    errors: tuple[Unstarted, ...] = ()
    skipped: int = 0  # ticks before this one that it stands for
    delivery_id: str | None = None
    by: str = ""


class FiredKey(msgspec.Struct, frozen=True):
    """What must not fire twice. A change whose key is taken and has not expired is refused whole."""

    source: str
    key: str
    expires_ms: int | None = None  # None: never
    digest: bytes | None = None  # of the delivery's body: the same key with another body is another delivery
    answer: bytes | None = None  # JSON of the first answer, for whoever repeats the delivery


class SourceState(msgspec.Struct, frozen=True):
    """What a source goes on from. Written by its own loop only, whole."""

    source: str
    last_ms: int | None = None  # nominal time of the newest tick
    cursor: bytes | None = None  # JSON of a poll's own state
    note: bytes | None = None  # JSON that only the loop of its kind reads


class Switch(msgspec.Struct, frozen=True):
    """That a source (`workflow` empty) or one attachment is disabled, or is so no more."""

    source: str
    workflow: str
    enabled: bool
    at_ms: int
    by: str = ""


class SubscriptionRow(msgspec.Struct, frozen=True):
    subscription_id: str
    workflow: str
    subscriber: str
    enabled: bool
    created_at_ms: int
    by: str = ""
