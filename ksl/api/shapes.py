"""The shapes of answers, for /openapi.json alone: answers are written by the views, not through these."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from ksl.api.shapes_of_agents import UseShape
from ksl.records import EventType, HookStatus, RunStatus, Scope, Trigger

Json = Any


class FieldError(BaseModel):
    loc: list[str | int]
    msg: str


class ProblemShape(BaseModel):
    title: str
    status: int
    detail: str
    code: str = Field(pattern="^KSL[0-9]{3}$")
    errors: list[FieldError] = Field(default=[], json_schema_extra={"default": None})


class StartedShape(BaseModel):
    run_id: str
    status: RunStatus


class LoginLinkShape(BaseModel):
    url: str
    expires_at: str


class EventShape(BaseModel):
    seq: int
    type: EventType
    step: str | None = Field(description="`step:<id>`")
    at: datetime
    data: Json
    input: Json = None
    meta: dict[str, Json] = {}


class EventsShape(BaseModel):
    events: list[EventShape]
    next_cursor: str | None


class StepShape(BaseModel):
    id: str
    kind: str
    callee: str | None
    status: str
    attempts: int
    attempts_max: int | None = Field(
        description="That its policy allows, where one failed and another is to come"
    )
    due: datetime | None = Field(
        description="Of what it waits for: its next attempt, a sleep's end, a deadline"
    )
    by: str | None = Field(description="Who answered the hook, or ended the sleep before its moment")
    started_at: datetime | None
    finished_at: datetime | None
    input: Json
    output: Json
    error: dict[str, Json] | None
    session_id: str | None = Field(description="Of the agent that it is, or lies below")
    usage: UseShape | None = Field(description="Of models; an agent's step has that of all below it")


class SpanShape(BaseModel):
    id: str
    parent: str | None = Field(description="Of the span it lies in; null for the run itself")
    name: str
    kind: str
    status: str
    started_at: datetime | None
    finished_at: datetime | None
    model_use: UseShape | None = Field(description="Of it and what lies in it; null where no model was asked")


class SourceLineShape(BaseModel):
    line: int
    text: str


class FrameShape(BaseModel):
    file: str = Field(description="Relative to the project")
    line: int = Field(description="Where the function stands")
    function: str
    source: list[SourceLineShape]
    variables: dict[str, str] = Field(description="Each as text, cut where it is long")


class BranchShape(BaseModel):
    workflow: str
    place: str = Field(description="Of the task, as in step ids; empty for the body itself")
    frames: list[FrameShape] = Field(description="The outermost first")


class AwaitedShape(BaseModel):
    step: str
    kind: str


class RaisedShape(BaseModel):
    type: str
    message: str


class MisfitShape(BaseModel):
    code: str
    message: str


class PositionShape(BaseModel):
    run_id: str
    workflow: str
    seq: int
    first_seq: int
    last_seq: int
    event: EventShape
    attempt: int
    state: Literal["queued", "standing", "returned", "raised", "cancelled"]
    now: datetime = Field(description="What ctx.now() says there")
    branches: list[BranchShape]
    awaited: list[AwaitedShape]
    error: RaisedShape | None
    misfit: MisfitShape | None = Field(
        description="The code at hand does not fit the run; it stands where they part"
    )


class TraceShape(BaseModel):
    spans: list[SpanShape]


class RetryingShape(BaseModel):
    step: str | None = Field(description="Its id; null where it is the run itself")
    attempt: int | None = Field(description="The one to come, from 1")
    attempts: int | None = Field(description="How many there will be at most")
    next_attempt_at: datetime


class VisitShape(BaseModel):
    at: datetime
    method: str
    status: int = Field(description="What it was answered with")
    answered: bool = Field(description="By this the hook got its answer")
    address: str
    agent: str


class LinkShape(BaseModel):
    opened: int = Field(description="By GET")
    looked: int = Field(description="By HEAD and OPTIONS")
    sent: int = Field(description="By POST")
    answered: int
    visits: list[VisitShape] = Field(description="Oldest first; not all are kept, or listed")


class StepLinkShape(LinkShape):
    step: str


class RunShape(BaseModel):
    run_id: str
    workflow: str
    status: RunStatus
    trigger: Trigger
    triggered_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    input: Json
    output: Json
    error: dict[str, Json] | None
    subscriber: str | None
    code_version: str | None
    waiting_on: list[dict[str, Json]]
    retrying: RetryingShape | None = Field(
        description="Of its next attempts the soonest, while it waits for it"
    )
    events: list[EventShape] = Field(default=[], description="With `include=events`")
    steps: list[StepShape] = Field(default=[], description="With `include=steps`")
    trace: TraceShape | None = Field(default=None, description="With `include=trace`")
    links: list[StepLinkShape] = Field(
        default=[], description="With `include=links`: of its hooks, those used"
    )
    logs: list[dict[str, Json]] = Field(default=[], description="With `include=logs`")


class RunAloneShape(RunShape):
    forked_from: str | None = Field(description="The run that this one was forked from")
    forks: list[str] = Field(description="Runs forked from this one, newest first, up to 100")


class CountShape(BaseModel):
    runs: int = Field(description="At most 10,000")
    exact: bool


class AtHandShape(BaseModel):
    step: str
    attempt: int


class RunLineShape(RunShape):
    at_hand: list[AtHandShape] = Field(description="The first few of its actions in flight")


class RunsShape(BaseModel):
    runs: list[RunLineShape]
    next_cursor: str | None
    count: CountShape | None = Field(default=None, description="Only where `count=true` asked for it")


class RefusedShape(BaseModel):
    run_id: str
    code: str
    detail: str


class ChangedShape(BaseModel):
    matched: int | None = Field(description="Null with a cursor")
    changed: int
    errors: list[RefusedShape] = Field(description="Runs that could not be changed; the others were")
    next_cursor: str | None = Field(description="For the next page; `confirm` is then what is left of it")
    since: datetime | None = Field(description="The moment that `since` came to; pass it on to the next page")


class WorkflowSummaryShape(BaseModel):
    slug: str
    name: str
    description: str


class RecentShape(BaseModel):
    """Of the runs created in the last 24 hours."""

    runs: int
    succeeded: int
    failed: int
    held: int
    hours: list[int] = Field(description="Runs by hour, the oldest first")


class ProblemOfCodeShape(BaseModel):
    code: str
    severity: Literal["error", "warning"]
    file: str
    line: int
    message: str
    fix: str


class WorkflowLineShape(WorkflowSummaryShape):
    steps: int | None = Field(
        default=None, description="Step calls in its source; with `figures=true`, as all below"
    )
    recent: RecentShape | None = None
    problems: list[ProblemOfCodeShape] = Field(default=[], description="Rules of the build that it breaks")


class LastDrawnShape(BaseModel):
    slug: str
    code_version: str
    canvas: dict[str, Json] = Field(description="As it was for its newest run")


class FailureShape(BaseModel):
    module: str
    file: str
    line: int
    code: str
    error: str
    traceback: str
    workflows: list[LastDrawnShape] = Field(description="That were defined in it")


class WorkflowsShape(BaseModel):
    workflows: list[WorkflowLineShape]
    since: datetime | None = Field(
        default=None, description="Which runs `recent` is about; with `figures=true`"
    )
    exact: bool | None = Field(default=None, description="False: there are more than the newest 100,000")
    failures: list[FailureShape] = Field(default=[], description="Modules that did not load")


class WorkflowShape(WorkflowSummaryShape):
    input_schema: dict[str, Json]
    output_schema: dict[str, Json]


class NodeShape(BaseModel):
    state: str
    counts: dict[str, int]  # of its occurrences, by state
    tries: int
    note: str
    started_at: datetime | None
    finished_at: datetime | None


class CanvasRunShape(BaseModel):
    run_id: str
    status: str
    code_version: str | None


class CanvasShape(BaseModel):
    """Each block says in `block` what it is; those inside it are in its `blocks` and `lanes`."""

    workflow: str
    file: str  # relative to the project folder
    version: str  # of the file's text
    at: dict[str, int]
    blocks: list[dict[str, Json]]
    unplaced: list[dict[str, Json]]  # steps in code that is never reached
    insides: dict[str, Json] | None = None  # with `expand`: canvases by the path of nodes that leads to them
    run: CanvasRunShape | None = None  # with `run`, as what follows
    changed: bool | None = None  # today's source is another; null where the workflow is gone
    nodes: dict[str, NodeShape] | None = None  # those left out are pending
    elsewhere: list[str] | None = None  # steps that later code asked for, and that this canvas does not have


class HookShape(BaseModel):
    model_config = {"protected_namespaces": ()}

    run_id: str
    step: str
    workflow: str
    name: str | None
    title: str | None
    details: Json
    schema_: dict[str, Json] | None = Field(alias="schema")
    created_at: datetime
    expires_at: datetime | None
    url: str | None
    why_no_url: str | None = Field(description="Set where the key of the hook's link is gone")
    link: LinkShape


class HooksShape(BaseModel):
    hooks: list[HookShape]


class AnsweredShape(BaseModel):
    run_id: str
    step: str
    status: HookStatus
    answered_at: datetime | None
    answered_by: str | None


class LinkAnsweredShape(BaseModel):
    status: HookStatus
    answered_at: datetime | None


class HealthShape(BaseModel):
    status: Literal["ok"]


class ReadyShape(BaseModel):
    ready: bool
    reason: str | None


class PrunedShape(BaseModel):
    runs: int = Field(description="Deleted, or with `dry_run` to be deleted")
    finished_before: datetime
    dry_run: bool


class WorkflowSizeShape(BaseModel):
    workflow: str
    runs: int
    events: int


class SizeShape(BaseModel):
    database_bytes: int
    wal_bytes: int
    free_bytes: int = Field(description="Of the database: for reuse, or to be given back")
    rows: dict[str, int]
    workflows: list[WorkflowSizeShape] = Field(description="Those with the most events")


class CredentialShape(BaseModel):
    name: str
    scope: Scope
    user: str | None = Field(description="Whose, in the scope user")
    fields_: list[str] = Field(alias="fields")
    set_at: datetime
    key_id: str = Field(description="Of the key that it is sealed with")
    defined: bool = Field(description="Whether the project's code has a credential of this name")


class CredentialsShape(BaseModel):
    credentials: list[CredentialShape]
    not_set: list[str] = Field(description="Defined by the project and set nowhere")


class CredentialSetShape(BaseModel):
    name: str
    scope: Scope
    user: str | None
    fields_: list[str] = Field(alias="fields")
    secret: list[str] = Field(description="The fields that are kept secret")
    key_id: str
    warnings: list[str]


class RemovedShape(BaseModel):
    name: str
    scope: Scope
    user: str | None
    removed: Literal[True]


class RotatedShape(BaseModel):
    scope: Scope
    key_id: str
    credentials: int = Field(description="How many were sealed anew")
