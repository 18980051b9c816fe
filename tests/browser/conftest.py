from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.chromium import CHROMIUM, Browser, chromium
from tests.integration.api.serving import WORKFLOWS, Served, serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ksl.toml").write_text('[store]\ndurability = "process"\n')
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "all.py").write_text(WORKFLOWS.lstrip())
    (tmp_path / "workflows" / "more.py").write_text(MORE.lstrip())
    return tmp_path


MORE = '''
import asyncio
from pydantic import BaseModel
from ksl import Retry, StepFailed, WebhookSource, action, workflow

GATE = asyncio.Event()


class Order(BaseModel):
    id: str
    amount: float = 0


@action
async def reserve(id: str) -> str:
    return id


@action
async def ship(id: str) -> str:
    await GATE.wait()
    return id


@action(retry=Retry(attempts=2, initial="1ms"))
async def refuse(id: str) -> None:
    raise ConnectionError("refused <b>")


@workflow(retry=Retry(attempts=1))
async def shipping(input: Order) -> str:
    """Reserves, asks in vain, ships."""
    await reserve.run(id=input.id)
    try:
        await refuse.run(id=input.id)
    except StepFailed:
        pass
    return await ship.run(id=input.id)


@workflow(retry=Retry(attempts=1))
async def refused(input: Order) -> None:
    await refuse.run(id=input.id)


@workflow(retry=Retry(attempts=1))
async def scattered(input: Order) -> None:
    await asyncio.wait([ship.run(id=input.id), reserve.run(id=input.id)])


WebhookSource(slug="orders", endpoint="orders", payload=Order).attach(shipping)
'''


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[Served]:
    async with serving(folder) as server:
        yield server


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    async with chromium() as browser:
        yield browser
