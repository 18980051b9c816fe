"""A project that uses every feature of a run, each action leaving a line in a ledger outside ksl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# A line of the ledger: run, step, attempt, life of the process, idempotency key. One O_APPEND write each, so
# lines of a process that dies at any moment are whole.
FLOWS = '''
"""Every feature of a run, and a ledger of what really happened."""

import asyncio
import os
import signal

from ksl import ActionContext, Context, Retry, StepFailed, StepInterrupted, action, bounded, workflow

seen = 0


def mark(ctx: ActionContext) -> None:
    global seen
    # Looked up each time: a process may be made long before it is said which life it is to lead.
    life = os.environ.get("CRASH_LIFE", "0")
    line = f"{ctx.run_id} {ctx.step_id} {ctx.attempt} {life} {ctx.idempotency_key}\\n"
    handle = os.open(os.environ.get("CRASH_LEDGER", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, line.encode())
    os.close(handle)
    seen += 1
    if os.environ.get("CRASH_AT") == f"effect:{seen}":
        os.kill(os.getpid(), signal.SIGKILL)


@action
async def note(ctx: ActionContext, text: str) -> str:
    mark(ctx)
    return text.upper()


@action
def plain(ctx: ActionContext, text: str) -> str:
    mark(ctx)
    return text.lower()


@action
async def slowly(ctx: ActionContext, text: str, seconds: float) -> str:
    mark(ctx)
    await asyncio.sleep(seconds)
    return text.upper()


@action(retry=Retry(attempts=3, initial="10ms", jitter=False))
async def third_time(ctx: ActionContext) -> int:
    mark(ctx)
    if ctx.attempt < 3:
        raise ValueError(f"attempt {ctx.attempt}")
    return ctx.attempt


@action
async def second_time(ctx: ActionContext) -> int:
    mark(ctx)
    if ctx.attempt < 2:
        raise ValueError("the first attempt fails")
    return ctx.attempt


@action
async def broken(ctx: ActionContext) -> None:
    mark(ctx)
    raise ValueError("out of order")


@action(effect="at_most_once")
async def charge(ctx: ActionContext, cents: int) -> int:
    mark(ctx)
    await asyncio.sleep(0.02)
    return cents


@workflow
async def chain(input: int) -> list[str]:
    said = []
    for number in range(input):
        noted = await note.run(text=f"a{number}")
        said += [noted, await plain.run(text=noted)]
    return said


@workflow
async def step_retry() -> int:
    return await third_time.run()


@workflow(retry=Retry(attempts=3, initial="20ms", jitter=False))
async def run_retry(ctx: Context) -> list[object]:
    before = await note.run(text="before")
    return [before, await second_time.run(), ctx.attempt]


@workflow
async def sleeper(ctx: Context) -> str:
    await note.run(text="going")
    await ctx.sleep("250ms")
    return await note.run(text="woken")


@workflow
async def asker(ctx: Context) -> object:
    hook = ctx.hook(title="Go on?")
    await note.run(text="asked")
    answer = await hook
    await note.run(text="answered")
    return answer


@workflow
async def race() -> str:
    fast, slow = note.run(text="fast"), slowly.run(text="slow", seconds=60)
    done, pending = await asyncio.wait({fast, slow}, return_when=asyncio.FIRST_COMPLETED)
    for call in pending:
        call.cancel()
    return (await note.run(text="won by " + done.pop().result()))


async def branch(number: int) -> list[str]:
    first = await slowly.run(text=f"b{number}", seconds=(number * 7 % 5) / 100)
    second = await slowly.run(text=first + "c", seconds=(number * 3 % 4) / 100)
    return [first, second]


@workflow
async def branches(input: int) -> list[list[str]]:
    return await asyncio.gather(*[branch(number) for number in range(input)])


@workflow
async def inner(input: str) -> str:
    noted = await note.run(text=input)
    return await plain.run(text=loudly(noted))


def loudly(text: str) -> str:
    return text + "!"


@workflow
async def outer() -> list[str]:
    return [await inner.run("one"), await inner.run("two")]


@workflow
async def paying() -> str:
    await note.run(text="basket")
    try:
        await charge.run(cents=100)
    except StepInterrupted:
        return await note.run(text="look it up")
    return await note.run(text="paid")


@workflow
async def compensated() -> str:
    try:
        await broken.run()
    except StepFailed as failure:
        return await note.run(text=f"{failure.type} mended")
    return "not reached"


@workflow(retry=Retry(attempts=2, initial="10ms", jitter=False))
async def failing() -> None:
    await note.run(text="before the end")
    await broken.run()


@workflow
async def many() -> list[str]:
    return await bounded(2, [note.run(text=str(number)) for number in range(5)])


@workflow
async def linger(input: float) -> str:
    return await slowly.run(text="at last", seconds=input)


@workflow
async def nap(input: str, ctx: Context) -> str:
    await ctx.sleep(input)
    return await note.run(text="rested")


@workflow
async def cancelled(ctx: Context) -> None:
    await note.run(text="begun")
    try:
        await ctx.hook(title="never answered")
    finally:
        await note.run(text="cleaned up")
'''

# Workflow, input, and how it ends when nothing is killed: status and output, or the type of its error.
RUNS: dict[str, tuple[Any, str, Any]] = {
    "chain": (3, "succeeded", ["A0", "a0", "A1", "a1", "A2", "a2"]),
    "step-retry": (None, "succeeded", 3),
    "run-retry": (None, "succeeded", ["BEFORE", 2, 2]),
    "sleeper": (None, "succeeded", "WOKEN"),
    "asker": (None, "succeeded", {"approved": True}),
    "race": (None, "succeeded", "WON BY FAST"),
    "branches": (4, "succeeded", [[f"B{number}", f"B{number}C"] for number in range(4)]),
    "outer": (None, "succeeded", ["one!", "two!"]),
    "paying": (None, "succeeded", "PAID"),
    "compensated": (None, "succeeded", "VALUEERROR MENDED"),
    "failing": (None, "failed", "ValueError"),
    "many": (None, "succeeded", ["0", "1", "2", "3", "4"]),
    "cancelled": (None, "cancelled", None),
}


def write_project(folder: Path) -> None:
    (folder / "workflows").mkdir(parents=True)
    (folder / "workflows" / "flows.py").write_text(FLOWS)
    (folder / "ksl.toml").write_text('[project]\nname = "crash"\n')
