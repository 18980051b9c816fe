"""Goods come back: a label for the customer. Also a tool of the support agent, as a run of its own."""

from __future__ import annotations

from pydantic import BaseModel, Field

from ksl import FatalError, workflow

from actions.orders import lookup_order, order_label


class Return(BaseModel):
    number: str = Field(description="Of the order, like A-1001.")


class Label(BaseModel):
    number: str
    label: str


@workflow(description="Orders a label by which the customer sends the goods of an order back.")
async def return_goods(input: Return) -> Label:
    order = await lookup_order.run(number=input.number)
    if order is None:
        raise FatalError(f"there is no order {input.number}")
    label = await order_label.run(number=order.number)
    return Label(number=order.number, label=label)
