"""What an operator does to the store of a running server: copy it, delete what is over, see how large it is."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ksl import __version__
from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, envelope, runtime_of
from ksl.api.shapes import PrunedShape, SizeShape
from ksl.define.duration import parse_duration
from ksl.errors import BadRequest
from ksl.log import retention
from ksl.log.backup import write_backup
from ksl.views.times import rfc3339
from ksl.views.upkeep import deleted_json, size_json

router = APIRouter(tags=["upkeep"])

MEDIA_TYPE = "application/vnd.sqlite3"
_CHUNK = 256 << 10
_FORGOTTEN_S = 3_600.0  # a copy that old belongs to a process that died while it made it


class _Prune(msgspec.Struct, forbid_unknown_fields=True):
    older_than: str | float | None = None
    dry_run: bool = False


_PRUNE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "older_than": {
            "type": ["string", "number"],
            "description": 'A duration like "7d"; left out: retention.finished_runs',
        },
        "dry_run": {"type": "boolean", "description": "Count only"},
    },
}


@router.post(
    "/prune",
    response_model=PrunedShape,
    responses=problems(400, 415, 422, 503),
    openapi_extra=body_of(_PRUNE, "May be left out", required=False),
)
async def prune(request: Request) -> Response:
    """Deletes runs that finished longer ago than that, with everything that is theirs."""
    asked = await envelope(request, _Prune)
    runtime = runtime_of(request)
    deleted = await retention.prune(
        runtime.store,
        None if asked.older_than is None else _seconds(asked.older_than),
        keep_s=runtime.settings.retention.finished_runs,
        now_ms=time.time_ns() // 1_000_000,
        dry_run=asked.dry_run,
    )
    return answer(deleted_json(deleted, dry_run=asked.dry_run))


@router.post(
    "/backup",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {}}, "description": "An SQLite database"}, **problems(503)},
)
async def backup(request: Request) -> Response:
    """A copy of the database as it is at one moment, with the keys of hook links in it."""
    settings = runtime_of(request).settings
    folder = settings.data_folder
    now_s = time.time()
    for forgotten in folder.glob("backup-*.tmp"):
        if forgotten.stat().st_mtime < now_s - _FORGOTTEN_S:
            forgotten.unlink(missing_ok=True)
    copy = folder / f"backup-{secrets.token_hex(8)}.tmp"
    file, size = await asyncio.to_thread(
        _made, settings.store.path, copy, (folder / "hook-keys").read_bytes(), rfc3339(int(now_s * 1000))
    )
    headers = {"Content-Length": str(size), "Content-Disposition": 'attachment; filename="ksl.backup"'}
    return StreamingResponse(_content(file), media_type=MEDIA_TYPE, headers=headers)


@router.get("/db/size", response_model=SizeShape, responses=problems())
async def db_size(request: Request) -> Response:
    """Bytes of the files, rows of each table, the workflows with the most events."""
    return answer(size_json(await runtime_of(request).store.size()))


def _made(source: Path, copy: Path, hook_keys: bytes, made_at: str) -> tuple[BinaryIO, int]:
    write_backup(source, copy, hook_keys=hook_keys, made_at=made_at, version=__version__, beside_server=True)
    try:
        return copy.open("rb"), copy.stat().st_size
    finally:
        copy.unlink()  # from here on it goes with the last who has it open


async def _content(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


def _seconds(text: str | float) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadRequest(f"older_than: {error}. Nothing was deleted.") from None
