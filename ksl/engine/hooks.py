"""A hook of a live run: its row, who waits for it, how it was answered."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from ksl.define.codec import Codec, invalid
from ksl.engine.failures import hook_failure
from ksl.engine.tokens import token_hash
from ksl.records import Event, HookRow, HookStatus, TimerRow
from ksl.records.moment import from_rfc3339, rfc3339

if TYPE_CHECKING:
    from ksl.define.seam import HookSpec
    from ksl.engine.loop import RunFuture, RunLoop
    from ksl.engine.run import Run
    from ksl.engine.tokens import TokenKeys

_STATUS: dict[str, HookStatus] = {
    "hook_resumed": "resumed",
    "hook_rejected": "rejected",
    "hook_expired": "expired",
}


class HookState:
    def __init__(self, run: Run, step: str, spec: HookSpec, codec: Codec) -> None:
        self.step = step
        self.row: HookRow = None  # pyright: ignore[reportAttributeAccessIssue]  # set by created(), at once
        self.timer: TimerRow | None = None
        self._run = run
        self._spec = spec
        self._codec = codec
        self._outcome: Event | None = None
        self._waiters: list[RunFuture] = []

    @property
    def is_open(self) -> bool:
        return self._outcome is None

    @property
    def is_awaited(self) -> bool:
        return any(not waiter.done() for waiter in self._waiters)

    def created_data(self, now_ms: int) -> bytes:
        """What `hook_created` records."""
        from pydantic_core import to_json

        spec = self._spec
        expires = None if spec.timeout_s is None else rfc3339(now_ms + 1 + int(spec.timeout_s * 1000))
        schema = None if spec.schema is None else self._codec.schema()
        return msgspec.json.encode(
            {
                "name": spec.name,
                "title": spec.title,
                "details": msgspec.Raw(to_json(spec.details)),
                "schema": schema,
                "get": spec.get,
                "expires_at": expires,
                "key": self._run.host.tokens.newest,
            }
        )

    def created(self, event: Event, *, workflow: str, key_id: str) -> None:
        self.row = hook_row(event, workflow=workflow, tokens=self._run.host.tokens, key_id=key_id)
        if self.row.key_id not in self._run.host.tokens and self.step in self._run.hook_hashes:
            self.row = replace(self.row, token_hash=self._run.hook_hashes[self.step])
        run_id = self._run.run_id
        if self.row.expires_at_ms is not None:
            self.timer = TimerRow(self.row.expires_at_ms, run_id, self.step, "hook", boot=self._run.host.boot)

    def accept(self, payload: bytes) -> bytes:
        """The payload as it will be recorded. Errors: InvalidInput; the hook keeps waiting."""
        from pydantic import ValidationError

        try:
            value = self._codec.decode(payload)
        except ValidationError as error:
            what = f"the payload for hook {self.step}"
            raise invalid(error, what=what, state="The hook waits on.") from None
        return self._codec.dump(value, root="payload")

    def answered(self, type: str, *, at_ms: int, by: str) -> HookRow:
        """The row of a hook that is answered before the body has come to it again."""
        self.row = replace(self.row, status=_STATUS[type], answered_at_ms=at_ms, answered_by=by or None)
        return self.row

    def settle(self, event: Event) -> TimerRow | None:
        """Takes the answer; returns the timer that is not needed any more."""
        self._outcome = event
        self.row = replace(
            self.row,
            status=_STATUS[event.type],
            answered_at_ms=event.at_ms,
            answered_by=(event.meta.by or None) if event.meta else None,
        )
        for waiter in self._waiters:
            if not waiter.done():
                self._give(waiter, event)
        self._waiters.clear()
        timer, self.timer = self.timer, None
        return timer

    def close(self, now_ms: int) -> HookRow:
        self.row = replace(self.row, status="closed", answered_at_ms=now_ms)
        return self.row

    def wait(self, loop: RunLoop) -> Awaitable[Any]:
        waiter = loop.create_future()
        if self._outcome is not None:
            self._give(waiter, self._outcome)
        else:
            self._waiters.append(waiter)
        return waiter

    def timeout_data(self) -> bytes:
        return msgspec.json.encode({"message": f"nobody answered hook {self.step} in time"})

    def _give(self, waiter: RunFuture, event: Event) -> None:
        if event.type == "hook_resumed":
            waiter.set_result(self._codec.decode(event.data or b"null"))
        else:
            waiter.set_exception(hook_failure(event))


def key_of(event: Event, *, otherwise: str) -> str:
    """Which key the token of a `hook_created` is derived from."""
    data: dict[str, Any] = json.loads(event.data or b"{}")
    return data.get("key", otherwise)


def hook_row(event: Event, *, workflow: str, tokens: TokenKeys, key_id: str) -> HookRow:
    """The row that follows from a `hook_created`. `key_id` for one that does not name its key."""
    data: dict[str, Any] = json.loads(event.data or b"{}")
    step, key = event.step or "", key_of(event, otherwise=key_id)
    expires = data.get("expires_at")
    return HookRow(
        token_hash=token_hash(tokens.token(event.run_id, step, key_id=key))
        if key in tokens
        else f"no key: {event.run_id} {step}".encode(),  # not as long as a hash, so no token has it
        run_id=event.run_id,
        step=step,
        workflow=workflow,
        status="open",
        key_id=key,
        created_at_ms=event.at_ms,
        name=data.get("name"),
        title=data.get("title"),
        details=None if data.get("details") is None else msgspec.json.encode(data["details"]),
        schema=None if data.get("schema") is None else msgspec.json.encode(data["schema"]),
        get=data.get("get", "auto"),
        expires_at_ms=None if expires is None else from_rfc3339(expires),
    )
