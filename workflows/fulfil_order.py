"""Reserve, charge, ship; when one of them fails for good, undo what was done before it.

Each undoing is a step of its own, so it too survives a crash and is done once. Plain `except` is all it
takes: every replay of the run sees the same failure and takes the same way.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from ksl import StepFailed, workflow

from actions.shop import (
    Deed,
    charge_customer,
    note_backorder,
    refund_customer,
    release_stock,
    reserve_stock,
    ship_parcel,
    stock_of,
    write_audit,
)


class Order(BaseModel):
    folder: str = Field(description="Where shop.db is.")
    customer: str
    item: str
    quantity: int = Field(1, ge=1)


class OrderResult(BaseModel):
    status: Literal["shipped", "backordered", "cancelled"]
    because: str = ""
    cents: int = 0  # what the customer paid in the end
    undone: list[str] = []


class SoldOut(Exception):
    """There is less in stock than was ordered."""


@workflow(slug="fulfil-order", description="Takes an order, or takes it back as a whole.")
async def fulfil_order(input: Order) -> OrderResult:
    reservation: Deed | None = None
    charge: Deed | None = None
    try:
        on_hand = await stock_of.run(folder=input.folder, item=input.item)
        if on_hand < input.quantity:
            raise SoldOut(f"{on_hand} of {input.item} in stock, {input.quantity} were ordered")
        reservation = await reserve_stock.run(
            folder=input.folder, customer=input.customer, item=input.item, quantity=input.quantity
        )
        charge = await charge_customer.run(folder=input.folder, reservation=reservation)
        await ship_parcel.run(folder=input.folder, reservation=reservation)
        return OrderResult(status="shipped", cents=charge.cents)
    except SoldOut as reason:
        await note_backorder.run(
            folder=input.folder, customer=input.customer, item=input.item, quantity=input.quantity
        )
        return OrderResult(status="backordered", because=str(reason))
    except StepFailed as failure:
        undone: list[str] = []
        # Backwards: nobody may pay for goods that somebody else can reserve.
        if charge is not None:
            refund = await refund_customer.run(folder=input.folder, charge=charge)
            undone.append(refund.kind)
        if reservation is not None:
            release = await release_stock.run(folder=input.folder, reservation=reservation)
            undone.append(release.kind)
        return OrderResult(status="cancelled", because=failure.message, undone=undone)
    finally:
        await write_audit.run(  # ksl: ignore[KSL112] whatever became of the order, it is written down
            folder=input.folder, customer=input.customer, item=input.item
        )
