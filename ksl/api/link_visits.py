"""Who used the links of hooks, noted beside the answers and stored after them.

Mail scanners and chat previews open links, and some press what they find there. When a hook was answered by nobody's
hand, its visits say by whom. A page is never kept waiting for this, nor fails with it: visits collect while others are
being stored and follow them, a few times a second at most, so that a storm of them is a few commits.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace
from starlette.requests import Request

from ksl.errors import KslError, UnknownHook
from ksl.log.visits import KEPT, joined
from ksl.records.link_visit import LinkUse, LinkVisit

if TYPE_CHECKING:
    from ksl.runtime import Runtime

GATHER_S = 0.25  # from one group to the next
AGAIN_S = 5.0  # after one that could not be stored
_AGENT_MAX = 200  # characters

_log = logging.getLogger("ksl.api")


def answered(request: Request) -> None:
    """By this request a hook got its answer."""
    request.scope["ksl.answered"] = True


class LinkVisits:
    """Belongs to the loop of the server."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._pending: dict[str, LinkUse] = {}  # by token, which leaves memory with it
        self._storing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def note(self, request: Request, status: int) -> None:
        """A link was used and is answered with `status`. Returns at once. Of one that is unknown nothing is noted."""
        if status == 404:
            return
        agent = request.headers.get("user-agent", "")
        visit = LinkVisit(
            run_id="",
            step="",
            at_ms=self._runtime.engine.clock.now_ms(),
            method=request.method,
            status=status,
            answered="ksl.answered" in request.scope,
            address=request.client.host if request.client else "",
            agent="".join(letter for letter in agent if letter.isprintable())[:_AGENT_MAX],
        )
        self._add(request.path_params["token"], _use_of(visit))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store())
            self._storing.add_done_callback(self._stored)

    async def close(self) -> None:
        """Stores what is pending, if that is possible."""
        self._closing.set()
        if self._storing is not None:
            await self._storing
        await self._store_once()

    async def _store(self) -> None:
        while self._pending:
            pause_s = GATHER_S if await self._store_once() else AGAIN_S
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause_s)
                return

    async def _store_once(self) -> bool:
        group, self._pending = self._pending, {}
        if not group:
            return True
        try:
            uses = [await self._of_hook(token, use) for token, use in group.items()]
            await self._runtime.store.visits.add([use for use in uses if use is not None])
        except KslError as error:
            _log.warning("visits of links could not be stored and are kept in memory: %s", error)
            newer, self._pending = self._pending, group
            for token, use in newer.items():
                self._add(token, use)
            return False
        return True

    async def _of_hook(self, token: str, use: LinkUse) -> LinkUse | None:
        try:
            hook = await self._runtime.hook(token)
        except UnknownHook:
            return None  # its run was deleted meanwhile
        visits = tuple(replace(visit, run_id=hook.run_id, step=hook.step) for visit in use.visits)
        return replace(use, run_id=hook.run_id, step=hook.step, visits=visits)

    def _add(self, token: str, use: LinkUse) -> None:
        before = self._pending.get(token)
        if before is not None and len(before.visits) >= KEPT and not use.answered:
            use = replace(use, visits=())
        self._pending[token] = joined(before, use)

    def _stored(self, _task: asyncio.Task[None]) -> None:
        self._storing = None


def _use_of(visit: LinkVisit) -> LinkUse:
    method = visit.method
    return LinkUse(
        visit.run_id,
        visit.step,
        looked=method in ("HEAD", "OPTIONS"),
        opened=method == "GET",
        sent=method == "POST",
        answered=visit.answered,
        visits=(visit,),
    )
