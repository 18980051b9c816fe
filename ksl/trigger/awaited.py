"""Waiting for a change to be stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ksl.errors import KslError
from ksl.log.store import Change, Store


async def stored(
    store: Store,
    change: Change,
    *,
    then: Callable[[], None] | None = None,
    lost: Callable[[KslError], None] | None = None,
) -> None:
    """Appends the change and returns after its commit. Errors: what it was lost with.

    `then` and `lost` are called in any case, also where the caller has given up waiting.
    """
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_stored() -> None:
        if not done.done():
            done.set_result(None)
        if then is not None:
            then()

    def on_lost(error: KslError) -> None:
        if lost is not None:
            lost(error)
        if not done.done():
            done.set_exception(error)

    change.stored, change.lost = on_stored, on_lost
    store.append(change)
    await done
