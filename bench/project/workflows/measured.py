"""What is run while it is measured: validated async actions on a small model, as little else as possible."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from ksl import Agent, Context, WebhookSource, action, workflow


class Item(BaseModel):
    id: int
    name: str
    price: float


class Quote(BaseModel):
    item: Item
    total: float


class Approval(BaseModel):
    approved: bool


@action
async def quote(item: Item, count: int) -> Quote:
    return Quote(item=item, total=item.price * count)


@workflow
async def sequential(steps: int) -> float:
    total = 0.0
    for n in range(steps):
        quoted = await quote.run(item=Item(id=n, name="bolt", price=0.5), count=2)
        total += quoted.total
    return total


@workflow
async def parallel(steps: int) -> float:
    quoted = await asyncio.gather(
        *[quote.run(item=Item(id=n, name="bolt", price=0.5), count=2) for n in range(steps)]
    )
    return sum(each.total for each in quoted)


@workflow
async def asleep(ctx: Context) -> None:
    await ctx.sleep("12h")


@workflow
async def approval(ctx: Context) -> bool:
    answer = await ctx.hook(Approval, title="May it go out?")
    return answer.approved


@workflow
async def recorded(steps: int, ctx: Context) -> bool:
    """Steps first, then a wait: a history to replay."""
    for n in range(steps):
        await quote.run(item=Item(id=n, name="bolt", price=0.5), count=2)
    answer = await ctx.hook(Approval)
    return answer.approved


class Parcel(BaseModel):
    number: int
    text: str


@workflow
async def received(input: Parcel) -> int:
    return input.number


deliveries = WebhookSource("deliveries", payload=Parcel).attach(received)


@action
async def look(n: int) -> int:
    return n


looker = Agent("looker", model="test/script/bench.json", tools=[look], memory=False)


@workflow
async def look_around(n: int) -> str:
    return (await looker.prompt("Look around.")).text
