"""The shapes of answers about triggers, for /openapi.json alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ksl.records import SourceKind, Verdict

Json = Any


class AcceptedShape(BaseModel):
    run_ids: list[str]


class SkippedShape(BaseModel):
    ok: Literal[True]
    skipped: Literal[True]
    challenge: str | None = Field(
        None, description="What Slack wants to read when an address is first entered; not there otherwise"
    )


class AttachmentShape(BaseModel):
    id: str = Field(description="source:target")
    workflow: str
    enabled: bool
    subscribers: int | None = Field(description="Enabled ones; null where the workflow takes none")


class TriggerShape(BaseModel):
    """What a kind has of its own is beside these: `endpoint` and `url`, `schedule` and `timezone`, ..."""

    model_config = ConfigDict(extra="allow")

    slug: str
    kind: SourceKind
    name: str
    description: str
    enabled: bool
    attachments: list[AttachmentShape]


class BriefFiringShape(BaseModel):
    firing_id: str
    at: datetime
    verdict: Verdict
    reason: str | None
    skipped: int
    runs: int
    run_ids: list[str] = Field(description="Of the first three")


class TriggerLineShape(TriggerShape):
    recent: list[BriefFiringShape] = Field(default=[], description="The newest 30; with `figures=true`")


class TriggersShape(BaseModel):
    triggers: list[TriggerLineShape]


class FiredRunShape(BaseModel):
    run_id: str
    workflow: str
    subscriber: str | None
    item: int


class UnstartedShape(BaseModel):
    workflow: str | None = Field(description="Null where the filter raised")
    subscriber: str | None
    item: int
    type: str
    message: str
    held_back: bool = Field(description="By a policy; otherwise it is an error")


class FiringShape(BaseModel):
    firing_id: str
    source: str
    kind: SourceKind
    at: datetime
    triggered_at: datetime
    verdict: Verdict
    reason: str | None
    payload: Json = Field(description="A list of payloads where `many`")
    many: bool
    run_ids: list[str]
    runs: list[FiredRunShape]
    errors: list[UnstartedShape]
    skipped: int = Field(description="Ticks before this one that it stands for")
    delivery_id: str | None
    by: str | None


class BufferedShape(BaseModel):
    workflow: str
    subscriber: str | None
    triggered_at: datetime


class TriggerWholeShape(TriggerShape):
    payload_schema: dict[str, Json]
    last_at: datetime | None = Field(description="Nominal time of the newest tick")
    state: Json
    last_firing: FiringShape | None
    refused: int = Field(description="Deliveries ever refused")
    failures: int | None = Field(None, description="Of a poll: how often in a row it has failed")
    error: str | None = Field(None, description="Of a poll that fails")
    retry_at: datetime | None = Field(None, description="Of a poll that fails: when it is tried again")
    buffered: list[BufferedShape] | None = Field(None, description="Of a cron source: ticks that wait")


class FiringsShape(BaseModel):
    firings: list[FiringShape]
    next_cursor: str | None


class SwitchShape(BaseModel):
    slug: str
    workflow: str | None = Field(description="Null for the whole source")
    enabled: bool


class SubscriptionShape(BaseModel):
    subscription_id: str
    workflow: str
    subscriber: str
    enabled: bool
    created_at: datetime
    by: str | None


class SubscriptionsShape(BaseModel):
    subscriptions: list[SubscriptionShape]
