"""The pictures of the console, taken in a browser of a real server. Ids and times differ each time."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.browser.chromium import CHROMIUM, Page, chromium
from tests.browser.entering import enter
from tests.integration.api.serving import Served, serving
from tests.tui import agents_project

NAMES = ("runs", "run", "hook", "approval", "session")
PROJECT = '''
import asyncio
from typing import Literal
from pydantic import BaseModel
from ksl import Context, Retry, StepFailed, action, workflow


class Order(BaseModel):
    id: str
    amount: float


class Decision(BaseModel):
    approved: bool
    urgency: Literal["today", "this week"] = "this week"
    comment: str = ""


@action
async def reserve_stock(order: str) -> str:
    await asyncio.sleep(0.2)
    return f"shelf 7 for {order}"


@action(retry=Retry(attempts=3, initial="150ms", jitter=False))
async def charge_card(order: str, amount: float) -> str:
    await asyncio.sleep(0.4)
    if amount > 1000:
        raise ConnectionError("the card was refused: over its limit")
    return f"receipt of {order}"


@action
async def release_stock(order: str) -> None:
    await asyncio.sleep(0.3)


@action
async def send_parcel(order: str) -> str:
    return "parcel 41"


@action
async def draft_text(topic: str) -> str:
    return f"{topic}: prices stay as they are"


@action
async def publish_text(text: str) -> str:
    return "published"


@workflow(retry=Retry(attempts=1))
async def fulfil_order(input: Order) -> str:
    """Takes an order from stock to parcel, and puts back what it took where the card is refused."""
    await reserve_stock.run(order=input.id)
    try:
        await charge_card.run(order=input.id, amount=input.amount)
    except StepFailed:
        await release_stock.run(order=input.id)
        raise
    return await send_parcel.run(order=input.id)


@workflow
async def publish(input: str, ctx: Context) -> str:
    """Publishes a text once somebody has read it."""
    text = await draft_text.run(topic=input)
    decision = await ctx.hook(
        Decision, title=f"Publish “{input}”?", details={"text": text, "words": 204}, name="approval", timeout="2d"
    )
    if not decision.approved:
        return "thrown away"
    return await publish_text.run(text=text)
'''


def file_of(name: str) -> str:
    return f"console-{name}.png"


async def taken() -> dict[str, bytes]:
    """By name of the file; none where there is no Chromium."""
    if CHROMIUM is None:
        return {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ksl.toml").write_text('[project]\nname = "shop"\n')
        (folder / "workflows").mkdir()
        (folder / "workflows" / "shop.py").write_text(PROJECT.lstrip())
        async with serving(folder) as served, chromium() as browser:
            made: dict[str, bytes] = {}
            for number in range(4):
                await served.ended("fulfil-order", {"id": f"o-{number + 111}", "amount": 30 + number})
            asked, link = await served.asked("publish", "Q3 pricing")
            failed = await served.ended("fulfil-order", {"id": "o-118", "amount": 1204})
            await served.ended("fulfil-order", {"id": "o-119", "amount": 12})
            async with browser.page(width=1180, height=760) as page:
                made[file_of("runs")] = await _of(page, served, "runs")
                run = f"runs/{failed['run_id']}?step=charge-card%230"
                made[file_of("run")] = await _of(page, served, run)
                made[file_of("hook")] = await _of(page, served, f"hooks/{asked}?step=hook%230")
            async with browser.page(width=375, height=700) as page:
                await page.go(served.url + link)
                made[file_of("approval")] = await page.picture()
            return made | {file_of("session"): await session_taken()}


async def session_taken() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(agents_project.write(Path(folder))) as served, chromium() as browser:
            made = await agents_project.prompted(served)
            await agents_project.prompted(served, message="And A-1002?", session=made["session_id"])
            async with browser.page(width=1180, height=760) as page:
                await enter(page, served, f"sessions/{made['session_id']}")
                await page.evaluate("document.querySelector('details.call').open = true")
                return await page.picture(whole=False)


async def _of(page: Page, served: Served, path: str) -> bytes:
    await enter(page, served, path)
    return await page.picture(whole=False)
