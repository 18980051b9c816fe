"""The project that screens are tested and pictured with: every state that a run can be in, soon reached."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.integration.api.serving import Served

WORKFLOWS = '''
"""An order: paid, sent, or taken back as a whole."""

import asyncio
from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

from ksl import Context, Retry, action, workflow


class Order(BaseModel):
    id: str = Field(description="As the shop calls it.")
    cents: int = Field(1200, ge=1)
    refused: int = Field(0, description="How often the carrier says no.")


class Address(BaseModel):
    city: str
    zip: str = ""


class Consent(BaseModel):
    approved: bool
    level: Literal["low", "high"]
    cents: int = Field(ge=0, le=10_000)
    to: Address
    on: date | None = None
    note: str = ""


class Carrier(Exception):
    """The carrier refused."""


@action(retry=Retry(attempts=3, initial="20ms", maximum="20ms"))
async def reserve_stock(order: str) -> str:
    return f"{order}: reserved"


@action
async def charge_card(order: str, cents: int) -> int:
    return cents


@action(retry=Retry(attempts=3, initial="20ms", maximum="20ms"))
async def ship_order(order: str, refused: int) -> str:
    if refused:
        raise Carrier("carrier API refused (503)")
    return f"{order}: on its way"


@action
async def release_stock(order: str) -> None:
    pass


@action
async def press(key: str) -> str:
    return key


@action
async def hold() -> None:
    await asyncio.sleep(3600)


@workflow(slug="fulfil-order", retry=Retry(attempts=1), description="Takes an order, or takes it back as a whole.")
async def fulfil_order(input: Order) -> str:
    reserved = await reserve_stock.run(order=input.id)
    try:
        paid = await charge_card.run(order=input.id, cents=input.cents)
        sent = await ship_order.run(order=input.id, refused=input.refused)
    except ValueError:
        await release_stock.run(order=input.id)
        raise
    return f"{reserved}; {paid}; {sent}"


@workflow(slug="refund-approval", description="A person decides.")
async def refund_approval(input: Order, ctx: Context) -> str:
    receipt = await reserve_stock.run(order=input.id)
    details = {"cents": input.cents, "asks": "Ada"}
    consent = await ctx.hook(Consent, title=f"Refund {input.id}?", details=details, timeout="3d")
    if not consent.approved:
        return "declined"
    return await press.run(key=f"{receipt} {consent.level}")


@workflow(slug="signup", description="Greets, and looks again a day later.")
async def signup(ctx: Context) -> None:
    await press.run(key="hello")
    await ctx.sleep("1d")


@workflow(slug="long-work")
async def long_work() -> None:
    await press.run(key="before")
    await hold.run()


@action(retry=Retry(attempts=4, initial="1h", jitter=False))
async def knock() -> None:
    raise Carrier("nobody is in")


@workflow(slug="stubborn")
async def stubborn() -> None:
    await knock.run()


@workflow(slug="echo")
async def echo(input: str) -> str:
    return await press.run(key=input)


@workflow(slug="many")
async def many(input: int) -> int:
    for number in range(input):
        await press.run(key=str(number))
    return input


@action(retry=Retry(attempts=5, initial="5m", jitter=False))
async def score_lead() -> None:
    raise Carrier("no answer")


@workflow(slug="unlucky")
async def unlucky() -> None:
    await score_lead.run()
'''
TRIGGERS = '''
"""What starts orders by itself."""

from ksl import CronSource, WebhookSource

from workflows.shop import Order, fulfil_order, signup

mornings = CronSource(
    slug="mornings", description="Weekday mornings.", schedule="0 9 * * mon-fri", timezone="Europe/Berlin"
)
mornings.attach(signup, transform=lambda _payload: None)
orders = WebhookSource(slug="orders", description="Orders from the shop.", payload=Order)
orders.attach(fulfil_order)
'''


def write(folder: Path) -> Path:
    (folder / "ksl.toml").write_text('[store]\ndurability = "process"\n[server]\nport = 0\n')
    for name, text in (("workflows/shop.py", WORKFLOWS), ("triggers/shop.py", TRIGGERS)):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.lstrip())
    return folder


async def lived(served: Served) -> dict[str, str]:
    """Runs in every state, by the state; each is where it rests."""
    made: dict[str, str] = {}
    made["succeeded"] = (await served.ended("fulfil-order", {"id": "o-113"}))["run_id"]
    made["failed"] = (await served.ended("fulfil-order", {"id": "o-114", "refused": 3}))["run_id"]
    made["sleeping"] = await served.start("signup")
    made["waiting"], _ = await served.asked("refund-approval", {"id": "o-115", "cents": 1204})
    made["running"] = await served.start("long-work")
    while (await served.run(made["sleeping"]))["status"] != "sleeping":
        await asyncio.sleep(0.01)
    while [step["id"] for step in (await served.run(made["running"], "steps"))["steps"]] != [
        "press#0",
        "hold#0",
    ]:
        await asyncio.sleep(0.01)
    return made


async def fire(served: Served) -> None:
    body = {"input": json.loads('{"id": "o-116"}')}
    answer = await served.client.post("/triggers/orders/invoke", json=body)
    assert answer.status_code == 202, answer.text
