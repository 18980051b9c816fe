"""Orders of a shop that exists on paper only."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from ksl import ActionContext, action

State = Literal["packed", "shipped", "delivered", "returned"]


class Order(BaseModel):
    number: str
    state: State
    cents: int


class PaidBack(BaseModel):
    number: str
    cents: int
    receipt: str


_ORDERS = {
    "A-1001": Order(number="A-1001", state="delivered", cents=4_900),
    "A-1002": Order(number="A-1002", state="packed", cents=1_250),
}


@action
async def lookup_order(number: str) -> Order | None:
    """The order of this number, like A-1001; nothing where there is none."""
    return _ORDERS.get(number)


@action
async def order_label(number: str) -> str:
    """Orders a label for sending the goods back. The answer is the label's number."""
    return f"label-{number.lower()}"


@action(effect="at_most_once")
async def return_money(ctx: ActionContext, number: str, cents: int = Field(gt=0)) -> PaidBack:
    """Pays money for an order back to the customer."""
    return PaidBack(number=number, cents=cents, receipt=f"receipt-{ctx.idempotency_key[-12:]}")
