"""Run and Hooks over runs that were really made, on a clock that stands still, in the states they rest in."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from pathlib import Path

from ksl.build.config import load_settings
from ksl.cli.doors import ProjectDoors
from ksl.tui.app import KslApp
from ksl.tui.hooks import HooksScreen
from ksl.tui.run import RunScreen

from tests.engine_fixture import World
from tests.tui.app import text_of, until
from tests.tui.snapshots import FOLDER, still

SIZES = ((80, 24), (120, 40), (200, 60))
STATES = ("run-succeeded", "run-failed", "run-retrying", "run-sleeping", "run-waiting", "hooks-waiting")
AT_EVERY_SIZE = ("run-failed", "run-retrying", "hooks-waiting")
NAMES = tuple(
    f"{state}-{width}" for width, _ in SIZES for state in STATES if width == 120 or state in AT_EVERY_SIZE
)

FLOWS = '''
import typing
from pydantic import BaseModel, Field


class Order(BaseModel):
    id: str = Field(description="As the shop calls it.")
    refused: int = 0


class Consent(BaseModel):
    approved: bool
    level: typing.Literal["low", "high"]
    cents: int = Field(ge=0, le=10_000)
    note: str = ""


class Carrier(Exception):
    """The carrier refused."""


@action
async def reserve_stock(order: str) -> str:
    return f"{order}: reserved"


@action(retry=Retry(attempts=3, initial="12s", factor=2.0, jitter=False))
async def ship_order(order: str, refused: int, ctx: ActionContext) -> str:
    if ctx.attempt <= refused:
        raise Carrier("carrier API refused (503)")
    return f"{order}: on its way"


@action
async def release_stock(order: str) -> None:
    pass


@workflow(slug="fulfil-order", retry=Retry(attempts=1))
async def fulfil_order(input: Order) -> str:
    reserved = await reserve_stock.run(order=input.id)
    try:
        return await ship_order.run(order=input.id, refused=input.refused)
    except StepFailed:
        await release_stock.run(order=input.id)
        raise


@workflow(slug="refund-approval")
async def refund_approval(input: Order, ctx: Context) -> str:
    receipt = await reserve_stock.run(order=input.id)
    details = {"cents": 1204, "asks": "Ada"}
    consent = await ctx.hook(Consent, title=f"Refund {input.id}?", details=details, timeout="3d")
    if not consent.approved:
        return "declined"
    return await ship_order.run(order=input.id, refused=0)


@workflow(slug="signup")
async def signup(ctx: Context) -> None:
    await reserve_stock.run(order="a place")
    await ctx.sleep("1d")
'''


async def taken(folder: Path) -> dict[str, str]:
    """By state and width."""
    world = World(folder, sqlite=True)
    (folder / ".ksl").mkdir()
    # the key of the world's hooks, for whoever opens the folder after it
    key = {"id": "test", "key": base64.b64encode(b"\0" * 32).decode()}
    (folder / ".ksl" / "hook-keys").write_text(json.dumps(key))
    await world.load(FLOWS)
    try:
        runs = {
            "run-succeeded": await world.start("fulfil-order", {"id": "o-113", "refused": 1}),
            "run-failed": await world.start("fulfil-order", {"id": "o-114", "refused": 9}),
        }
        await world.advance(60)
        runs["run-sleeping"] = await world.start("signup")
        runs["run-waiting"] = await world.start("refund-approval", {"id": "o-115"})
        await world.advance(2)
        runs["run-retrying"] = await world.start("fulfil-order", {"id": "o-116", "refused": 9})
        await world.advance(15)
    finally:
        await world.close()
    found: dict[str, str] = {}
    for size in SIZES:
        for name, text in (await _screens(folder, runs, size, now_ms=world.clock.ms)).items():
            found[f"{name}-{size[0]}"] = text
    return found


async def _screens(
    folder: Path, runs: dict[str, str], size: tuple[int, int], *, now_ms: int
) -> dict[str, str]:
    doors = ProjectDoors(load_settings(folder))
    app = KslApp(doors, now_ms=lambda: now_ms, folder=folder)
    found: dict[str, str] = {}
    try:
        async with app.run_test(size=size) as pilot:
            for name, run_id in runs.items():
                if f"{name}-{size[0]}" not in NAMES:
                    continue
                app.open_run(run_id)
                await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
                await until(pilot, lambda: "▸ reserve-stock" in text_of(app))
                found[name] = await still(app, pilot)
            await pilot.press("3")
            await until(
                pilot, lambda: isinstance(app.screen, HooksScreen) and "Refund o-115?" in text_of(app)
            )
            await pilot.press("enter")
            await until(pilot, lambda: "return 'declined'" in text_of(app))
            found["hooks-waiting"] = await still(app, pilot)
    finally:
        await doors.aclose()
    return found


async def _write_all() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (await taken(Path(folder))).items():
            (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_write_all())
