"""Money paid back, as rows of a file: one for each refund, however often its step was tried."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from ksl import ActionContext, action

from actions.files import existing_folder, write_whole


class Refund(BaseModel):
    order: str
    cents: int
    receipt: str  # absolute path


@action
def pay_back(ctx: ActionContext, folder: str, order: str, cents: int, approved_by: str) -> Refund:
    """Writes the receipt that the cashier pays out by."""
    name = "".join(letter for letter in ctx.idempotency_key if letter.isalnum())
    path: Path = existing_folder(folder) / "refunds" / f"{name}.txt"
    write_whole(path, f"order: {order}\namount: {cents / 100:.2f}\napproved by: {approved_by}\n")
    return Refund(order=order, cents=cents, receipt=str(path))
