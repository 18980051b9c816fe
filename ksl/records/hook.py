"""A named point where a run waits for a person or a program."""

from __future__ import annotations

from typing import Literal

import msgspec

# open: takes an answer. closed: its run ended first.
HookStatus = Literal["open", "resumed", "rejected", "expired", "closed"]


class HookRow(msgspec.Struct, frozen=True):
    """`token_hash` is SHA-256 of the token. The token itself is derived from a key kept outside the
    database (`key_id` names it) and the hook's place, so the database alone never yields one."""

    token_hash: bytes
    run_id: str
    step: str
    workflow: str
    status: HookStatus
    key_id: str
    created_at_ms: int
    name: str | None = None
    title: str | None = None
    details: bytes | None = None  # JSON
    schema: bytes | None = None  # JSON Schema of the payload
    get: str = "auto"  # what GET on the link does: auto, resume, confirm
    expires_at_ms: int | None = None
    answered_at_ms: int | None = None
    answered_by: str | None = None
