"""The one door through which sources start runs: see docs/decisions/0012-firings.md."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from ksl.define.codec import Codec, invalid
from ksl.define.delivery import Delivery
from ksl.errors import KslError, ShuttingDown, UnknownTrigger
from ksl.log.store import Change, Store
from ksl.log.trigger_rows import TriggerRows
from ksl.records import (
    FiredKey,
    FiringRow,
    Meta,
    Recipient,
    RunRow,
    SourceState,
    StartedRun,
    Trigger,
    Unstarted,
    Verdict,
)
from ksl.trigger.awaited import stored
from ksl.trigger.clock import Clock
from ksl.trigger.standing import Standing

if TYPE_CHECKING:
    from ksl.build.discover import Project
    from ksl.define.source import Attachment, Source

MESSAGE_MAX = 4_000  # characters of an error that a firing keeps

_UNDECODED: Any = object()
_anything = Codec(Any, where="what a transform returned")


class Item(NamedTuple):
    """One payload as JSON text, with the keys it must not fire twice for. `value` is what filter and transform
    get, where that is at hand; otherwise it is what the text means to the source's payload type."""

    data: bytes
    keys: tuple[FiredKey, ...] = ()
    value: Any = _UNDECODED


class Held(NamedTuple):
    """A recipient that gets no run this time. `policy` is a short name for why, `reason` says it in words."""

    recipient: Recipient
    policy: str
    reason: str


class Fired(NamedTuple):
    """`unfired`: why there is a payload for which nobody got a run though somebody should have; else empty."""

    row: FiringRow
    runs: list[RunRow]
    unfired: str = ""


class Prepare(Protocol):
    """`engine.starting.Starting.prepare`: a run that is wanted, validated, for somebody else to store."""

    def __call__(
        self,
        slug: str,
        input: bytes,
        *,
        trigger: Trigger,
        triggered_at_ms: int,
        subscriber: str | None,
        meta: Meta,
    ) -> Change: ...


class Mask(Protocol):
    """Takes known secrets out of what is stored: `ksl.vault.redactor.Redactor`."""

    active: bool

    def text(self, text: str) -> str: ...

    def json(self, data: bytes) -> bytes: ...


class Triggers:
    """Every source of the project, and the door. Lives on the host loop."""

    def __init__(
        self,
        *,
        project: Project,
        store: Store,
        clock: Clock,
        new_id: Callable[[], str],
        prepare: Prepare,
        admit: Callable[[RunRow, bytes], None],
        lost: Callable[[KslError], None],
        mask: Mask,
    ) -> None:
        """`admit` puts a stored run in line; `lost` is told when a firing was not stored."""
        self.project = project
        self.store = store
        self.clock = clock
        self.standing = Standing(project=project, store=store, clock=clock)
        self.new_id = new_id
        self._prepare = prepare
        self._admit = admit
        self._lost = lost
        self._mask = mask

    def source(self, slug: str) -> Source:
        """Errors: UnknownTrigger."""
        return source_of(self.project, slug)

    def state(self, source: str) -> SourceState | None:
        """Where the source stands, as it is stored; None where it never fired."""
        return self.standing.state(source)

    async def known(self, source: str, keys: Sequence[str]) -> dict[str, FiredKey]:
        """Those of the keys that have fired, the firings on their way to the log among them."""
        await self.store.flush()
        return await self.store.triggers.keys(source, keys, now_ms=self.clock.now_ms())

    async def unfinished(self, source: str, recipient: Recipient) -> list[RunRow]:
        """Runs of this recipient that the source started and that have not ended, oldest first."""
        await self.store.flush()
        return await self.store.triggers.unfinished(source, recipient)

    async def fire(
        self,
        source: Source,
        items: Sequence[Item],
        *,
        nominal_ms: int | None = None,
        delivery: Delivery | None = None,
        many: bool = False,
        is_filtered: bool = False,
        state: SourceState | Callable[[str], SourceState] | None = None,
        skipped: int = 0,
        recipients: Sequence[Recipient] | None = None,
        held_back: Sequence[Held] = (),
        reason: str = "",
        by: str = "",
    ) -> Fired:
        """Evaluates the source once and stores what came of it: the firing, its runs, keys and state.

        Shape:   `many` False: `items` is one payload. `is_filtered`: the filter has let them through before.
                 `state` may depend on what is `unfired`. `reason` is kept where nothing else is to be said.
        Units:   `nominal_ms` is `ctx.triggered_at` of the runs, Unix milliseconds; by default now.
        Errors:  InvalidInput for a payload that does not fit the source; KeyTaken when an item fired before;
                 ShuttingDown, StoreFull, StoreBusy, StoreFailed. Nothing was stored then.
        """
        now_ms = self.clock.now_ms()
        firing = _Firing(
            source=source,
            firing_id=self.new_id(),
            now_ms=now_ms,
            nominal_ms=now_ms if nominal_ms is None else nominal_ms,
            skipped=skipped,
            delivery=delivery,
            by=by,
            prepare=self._prepare,
            is_filtered=is_filtered,
        )
        asked = self.standing.recipients(source) if recipients is None else list(recipients)
        kept_back = {held.recipient for held in held_back}
        wanted = [recipient for recipient in asked if recipient not in kept_back]
        for place, item in enumerate(items):
            firing.take(place, item, wanted)
        firing.unstarted += [_kept_back(held) for held in held_back]
        nobody = "" if asked else self.standing.why_nobody(source)
        row = FiringRow(
            firing_id=firing.firing_id,
            source=source.slug,
            kind=source.kind,
            at_ms=firing.now_ms,
            nominal_ms=firing.nominal_ms,
            verdict=firing.verdict,
            reason=firing.why(nobody) or reason,
            payload=_payload(items, many=many),
            many=many,
            runs=tuple(firing.started),
            errors=tuple(firing.unstarted),
            skipped=skipped,
            delivery_id=None if delivery is None else delivery.delivery_id,
            by=by,
        )
        settled = state(firing.unfired) if callable(state) else state
        row = await self._store(row, firing.changes, _answered(firing.keys, row), settled)
        return Fired(row, [change.run for change in firing.changes if change.run is not None], firing.unfired)

    async def note(
        self,
        source: Source,
        verdict: Verdict,
        reason: str,
        *,
        nominal_ms: int | None = None,
        payload: bytes | None = None,
        errors: Sequence[Unstarted] = (),
        state: SourceState | None = None,
        skipped: int = 0,
        by: str = "",
    ) -> FiringRow:
        """Stores a firing that starts nothing, and the source's state. Errors: as `fire`."""
        now_ms = self.clock.now_ms()
        row = FiringRow(
            firing_id=self.new_id(),
            source=source.slug,
            kind=source.kind,
            at_ms=now_ms,
            nominal_ms=now_ms if nominal_ms is None else nominal_ms,
            verdict=verdict,
            reason=reason,
            payload=payload,
            errors=tuple(errors),
            skipped=skipped,
            by=by,
        )
        return await self._store(row, [], [], state)

    def kept(self, text: str, *, limit: int = MESSAGE_MAX) -> str:
        """Text as it is stored: without secrets that are known, and then cut. Half a secret is not known for one."""
        return (self._mask.text(text) if self._mask.active else text)[:limit]

    async def save(self, state: SourceState) -> None:
        """Stores a source's state by itself, without a firing. Errors: as `fire`."""
        state = _masked_state(state, self._mask) if self._mask.active else state
        rows = TriggerRows(self.clock.now_ms(), states=[state])
        await stored(
            self.store,
            Change(run_id=self.new_id(), triggers=rows),
            then=lambda: self.standing.moved(state),
            lost=self._lost,
        )

    async def _store(
        self, row: FiringRow, changes: list[Change], keys: list[FiredKey], state: SourceState | None
    ) -> FiringRow:
        """The row as it is stored: without secrets that are known."""
        row = replace(
            row,
            reason=self.kept(row.reason),
            errors=tuple(replace(error, message=self.kept(error.message)) for error in row.errors),
        )
        if self._mask.active:
            row = replace(row, payload=None if row.payload is None else self._mask.json(row.payload))
            state = None if state is None else _masked_state(state, self._mask)
        rows = TriggerRows(
            row.at_ms,
            runs=[change.run for change in changes if change.run is not None],
            firings=[row],
            keys=keys,
            states=[] if state is None else [state],
        )
        whole = Change(
            run_id=row.firing_id,
            events=[event for change in changes for event in change.events],
            codes=[code for change in changes for code in change.codes],
            triggers=rows,
        )

        def then() -> None:
            # In line only now: not before the commit is it certain that the keys were new.
            if state is not None:
                self.standing.moved(state)
            for change in changes:
                assert change.run is not None
                self._admit(change.run, change.events[0].data or b"null")

        await stored(self.store, whole, then=then, lost=self._lost)
        return row


@dataclass(slots=True)
class _Firing:
    """What one evaluation comes to, item by item."""

    source: Source
    firing_id: str
    now_ms: int
    nominal_ms: int
    skipped: int
    delivery: Delivery | None
    by: str
    prepare: Prepare
    is_filtered: bool = False
    changes: list[Change] = field(default_factory=list[Change])
    started: list[StartedRun] = field(default_factory=list[StartedRun])
    unstarted: list[Unstarted] = field(default_factory=list[Unstarted])
    keys: list[FiredKey] = field(default_factory=list[FiredKey])
    filtered: int = 0
    unfired: str = ""

    def take(self, place: int, item: Item, recipients: list[Recipient]) -> None:
        value = decoded(self.source, item.data) if item.value is _UNDECODED else item.value
        try:
            fires = (
                self.is_filtered
                or self.source.filter is None
                or bool(self.source.filter(value, self._with(item)))
            )
        except Exception as error:
            self.unstarted.append(_failure("", None, place, error))
            self.unfired = self.unfired or _told(self.unstarted[-1])
            return
        if not fires:
            self.filtered += 1
            self.keys += item.keys
            return
        failed_before, runs_before = len(self.unstarted), len(self.started)
        for recipient in recipients:
            self._start(place, item, value, recipient)
        # An item that failed for everybody may come again, once the code was put right.
        if len(self.started) > runs_before or len(self.unstarted) == failed_before:
            self.keys += item.keys
        else:
            self.unfired = self.unfired or _told(self.unstarted[-1])

    @property
    def verdict(self) -> Verdict:
        if any(not each.held_back for each in self.unstarted):
            return "failed"
        return "started" if self.started else "skipped"

    def why(self, nobody: str) -> str:
        """What a person reads first. `nobody`: why there was nobody to start a run for."""
        if failed := next((each for each in self.unstarted if not each.held_back), None):
            return _told(failed)
        if self.started:
            return ""
        if self.filtered:
            return "the filter said no"
        return nobody or (self.unstarted[0].message if self.unstarted else "")

    def _start(self, place: int, item: Item, value: Any, recipient: Recipient) -> None:
        attachment = next(a for a in self.source.attachments if a.workflow.slug == recipient.workflow)
        try:
            change = self.prepare(
                recipient.workflow,
                self._input(attachment, item, value),
                trigger=self.source.kind,
                triggered_at_ms=self.nominal_ms,
                subscriber=recipient.subscriber,
                meta=Meta(by=self.by, source=self.source.slug, firing=self.firing_id, skipped=self.skipped),
            )
        except ShuttingDown:
            raise
        except Exception as error:
            self.unstarted.append(_failure(recipient.workflow, recipient.subscriber, place, error))
            return
        self.changes.append(change)
        self.started.append(StartedRun(change.run_id, recipient.workflow, recipient.subscriber, place))

    def _input(self, attachment: Attachment, item: Item, value: Any) -> bytes:
        if attachment.transform is None:
            # As it was understood: with the defaults of its type, and without fields that the type does not have.
            return self.source.payload.dump(value, root="the payload")
        made = attachment.transform(value, self._with(item))
        return _anything.dump(made, root="the transform's result")

    def _with(self, item: Item) -> Delivery:
        if self.delivery is None:
            at = datetime.fromtimestamp(self.now_ms / 1000, UTC)
            self.delivery = Delivery(headers={}, query={}, body=item.data, received_at=at)
        return self.delivery


def source_of(project: Project, slug: str) -> Source:
    """Errors: UnknownTrigger naming those there are."""
    source = project.triggers.get(slug)
    if source is None:
        known = ", ".join(sorted(project.triggers)[:20])
        raise UnknownTrigger(
            f'no source has the slug "{slug}". '
            f"{f'There are: {known}.' if known else 'This project defines none.'} Nothing was changed."
        )
    return source


def decoded(source: Source, data: bytes) -> Any:
    """What JSON text means to a source's payload type. Errors: InvalidInput."""
    from pydantic import ValidationError

    try:
        return source.payload.decode(data)
    except ValidationError as error:
        raise invalid(error, what=f"the payload of {source.kind} source {source.slug}") from None


def _answered(keys: list[FiredKey], row: FiringRow) -> list[FiredKey]:
    """The keys of deliveries, told apart by their digest, with what a repetition is answered: the run ids."""
    if not any(key.digest for key in keys):
        return keys
    answer = msgspec.json.encode([run.run_id for run in row.runs])
    return [replace(key, answer=answer) if key.digest else key for key in keys]


def _masked_state(state: SourceState, mask: Mask) -> SourceState:
    return replace(
        state,
        cursor=None if state.cursor is None else mask.json(state.cursor),
        note=None if state.note is None else mask.json(state.note),
    )


def _payload(items: Sequence[Item], *, many: bool) -> bytes | None:
    if many:
        return b"[" + b", ".join(item.data for item in items) + b"]"
    return items[0].data if items else None


def _told(failed: Unstarted) -> str:
    return f"{failed.type}: {failed.message}"


def _kept_back(held: Held) -> Unstarted:
    recipient = held.recipient
    return Unstarted(
        recipient.workflow, held.policy, held.reason, subscriber=recipient.subscriber, held_back=True
    )


def _failure(workflow: str, subscriber: str | None, place: int, error: Exception) -> Unstarted:
    message = str(error)
    # Where an author's own function raised; what ksl itself refuses says enough.
    if not isinstance(error, KslError) and (frames := traceback.extract_tb(error.__traceback__)):
        message = f"{message} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
    return Unstarted(workflow, type(error).__name__, message, subscriber, place)
