"""Starting runs: validated, stored once per idempotency key, put in line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ksl.engine.commits import Commits, unknown, validated
from ksl.engine.engine import Engine
from ksl.engine.strict_json import check
from ksl.errors import BadRequest, IdempotencyConflict, KslError, ShuttingDown, UnknownWorkflow
from ksl.log.store import Change
from ksl.records import Meta, RunRow, RunStatus, Trigger


class Started(NamedTuple):
    run: RunRow
    created: bool  # False: an idempotency key was repeated


class Starting:
    def __init__(
        self,
        engine: Engine,
        commits: Commits,
        *,
        new_id: Callable[[], str],
        admit: Callable[[RunRow, bytes | None], None],
    ) -> None:
        self._engine = engine
        self._commits = commits
        self._new_id = new_id
        self._admit = admit  # puts a queued run in line for a slot
        self._keys: dict[tuple[str, str], asyncio.Future[None]] = {}  # idempotency keys being stored
        self._loop = asyncio.get_running_loop()

    async def start(
        self, slug: str, input: bytes, *, trigger: Trigger, triggered_at_ms: int | None = None,
        idempotency_key: str | None = None, subscriber: str | None = None, by: str = "", admit: bool = True,
        again: str | None = None,
    ) -> Started:  # fmt: skip
        """`again`: the run that it repeats, for the same subscriber. Its trigger is then "retry".

        Errors: UnknownWorkflow, RuleBroken, BadJson, InvalidInput, PayloadTooLarge, IdempotencyConflict,
        StoreFull; of `again` UnknownRun, BadRequest.
        """
        engine = self._engine
        data = self._checked(slug, input)
        if again is not None:
            trigger = "retry"
            repeated = await self._commits.row(again)
            if repeated.workflow != slug:
                raise BadRequest(
                    f"again: run {again} is one of {repeated.workflow}, not of {slug}. Nothing was started."
                )
            subscriber = repeated.subscriber
        if idempotency_key is None:
            return Started(
                await self._create(slug, data, trigger, triggered_at_ms, None, subscriber, by, admit, again),
                True,
            )
        key = (slug, idempotency_key)
        # Taken before the look-up: of many starts with one key at once, one creates and the others then find it.
        while (storing := self._keys.get(key)) is not None:
            await asyncio.shield(storing)
        self._keys[key] = self._loop.create_future()
        try:
            await engine.store.flush()  # the run of a caller that gave up may be on its way there
            known = await engine.store.run_by_key(slug, idempotency_key)
            if known is None:
                row = await self._create(
                    slug, data, trigger, triggered_at_ms, idempotency_key, subscriber, by, admit, again
                )
                return Started(row, True)
            ends = (await engine.store.ends([known.run_id])).get(known.run_id)
            if ends is not None and ends[0].data != data:
                raise IdempotencyConflict(
                    f'the idempotency key "{idempotency_key}" was used for run {known.run_id} of {slug} with another '
                    "input. Nothing was started. Send the same input to get that run, or another key for a new one."
                )
            return Started(known, False)
        finally:
            self._keys.pop(key).set_result(None)

    async def _create(
        self, slug: str, data: bytes, trigger: Trigger, triggered_at_ms: int | None, key: str | None,
        subscriber: str | None, by: str, admit: bool, again: str | None,
    ) -> RunRow:  # fmt: skip
        engine = self._engine
        meta = Meta(by=by, origin=again or "")
        change = self._made(slug, data, trigger, triggered_at_ms, key, subscriber, meta)
        row = change.run
        assert row is not None
        done = self._commits.awaited()

        def lost(error: KslError) -> None:
            engine.withdraw(row.run_id)  # what was refused must not begin later
            engine.lost(None, error)
            done.lost(error)

        def create() -> None:
            # In one callback with the admission: run_created and run_started share a commit.
            change.stored, change.lost = done.stored, lost
            engine.store.append(change)
            if admit:
                self._admit(row, data)

        self._loop.call_soon(create)
        await done.future
        return row

    def prepare(
        self, slug: str, input: bytes, *, trigger: Trigger, triggered_at_ms: int, subscriber: str | None,
        meta: Meta,
    ) -> Change:  # fmt: skip
        """A new run for a firing to store, with others. Whoever stores it puts it in line.

        Errors: as `start`, without those of a key.
        """
        return self._made(slug, self._checked(slug, input), trigger, triggered_at_ms, None, subscriber, meta)

    def _checked(self, slug: str, input: bytes) -> bytes:
        """The input as it is stored."""
        if self._engine.stopping:
            raise ShuttingDown("the server is stopping and takes no new runs. Try again when it is back.")
        workflow = self._engine.project.workflows.get(slug)
        if workflow is None:
            raise UnknownWorkflow(unknown(slug, self._engine.project.defined))
        self._engine.project.raise_if_rule_broken(slug)
        self._commits.check_size(input, what=f"the input of workflow {slug}")
        check(input, what=f"the input of workflow {slug}")
        data = validated(workflow, input)
        # Here, before anybody has seen it: the body gets what is recorded.
        return self._engine.mask.json(data) if self._engine.mask.active else data

    def _made(
        self, slug: str, data: bytes, trigger: Trigger, triggered_at_ms: int | None, key: str | None,
        subscriber: str | None, meta: Meta,
    ) -> Change:  # fmt: skip
        engine = self._engine
        now_ms = engine.clock.now_ms()
        code = engine.codes.of(slug)
        row = RunRow(
            run_id=self._new_id(),
            workflow=slug,
            status=RunStatus.QUEUED,
            trigger=trigger,
            triggered_at_ms=now_ms if triggered_at_ms is None else triggered_at_ms,
            created_at_ms=now_ms,
            seq=1,
            subscriber=subscriber,
            code_version=code.code_version,
            idempotency_key=key,
            origin=meta.origin or None,
        )
        event = self._commits.event(row, 1, "run_created", data, meta)
        return Change(run_id=row.run_id, events=[event], run=row, codes=[code])
