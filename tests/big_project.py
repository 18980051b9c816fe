"""A project of many workflow files, as a program would write it: `python -m tests.big_project FOLDER [FILES]`."""

from __future__ import annotations

import sys
from pathlib import Path

DESK = """
from pydantic import BaseModel

from ksl import action


class Answer(BaseModel):
    ok: bool = True
    items: list[int] = []


@action
async def charge(amount: int) -> str:
    return f"{amount}"


@action
async def notify(text: str) -> None: ...


@action
async def ask() -> Answer:
    return Answer()
"""
FLOW = '''
import asyncio

from actions.desk import ask, charge, notify
from pydantic import BaseModel

from ksl import Context, StepFailed, workflow


class Order{number}(BaseModel):
    amount: int = {number}


@workflow
async def order_{number}(input: Order{number}, ctx: Context) -> int:
    """Takes an order from its charge to its receipt."""
    answer = await ask.run()
    if not answer.ok:
        await notify.run(text="refused")
        return 0
    for item in answer.items:
        try:
            await charge.run(amount=item)
        except StepFailed:
            await notify.run(text=f"{{item}} failed")
    await asyncio.gather(charge.run(amount=1), charge.run(amount=2), tell(input.amount))
    hook = ctx.hook(title="Send it?", timeout="3d")
    await notify.run(text=hook.resume_url)
    match await hook:
        case "yes":
            await notify.run(text="sent")
        case _:
            await ctx.sleep("1h")
            await notify.run(text="kept")
    return input.amount


async def tell(amount: int) -> None:
    if amount:
        await notify.run(text=f"{{amount}}")
'''


def write_big_project(folder: Path, files: int = 200) -> None:
    for name in ("actions", "workflows"):
        (folder / name).mkdir(parents=True)
    (folder / "ksl.toml").write_text('[project]\nname = "big"\n', encoding="utf-8")
    (folder / "actions" / "desk.py").write_text(DESK, encoding="utf-8")
    for number in range(files):
        text = FLOW.format(number=number)
        (folder / "workflows" / f"order_{number}.py").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_big_project(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)
