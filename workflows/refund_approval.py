"""Small refunds are paid at once; for a large one a person has two days to say yes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from ksl import Context, HookTimeout, workflow

from actions.refunds import pay_back


class RefundRequest(BaseModel):
    folder: str = Field(description="Where receipts are written.")
    order: str
    cents: int = Field(gt=0)
    limit: int = Field(10_000, description="Above this many cents a person decides.")


class Consent(BaseModel):
    approved: bool
    by: str = Field(min_length=1)


class RefundOutcome(BaseModel):
    status: Literal["paid", "declined", "unanswered"]
    receipt: str | None = None


@workflow(slug="refund-approval", description="Pays a refund, with a person's consent above a limit.")
async def refund_approval(input: RefundRequest, ctx: Context) -> RefundOutcome:
    approved_by = "the limit"
    if input.cents > input.limit:
        try:
            consent = await ctx.hook(
                Consent, timeout="2d", title=f"Refund {input.cents / 100:.2f} for order {input.order}?"
            )
        except HookTimeout:
            return RefundOutcome(status="unanswered")
        if not consent.approved:
            return RefundOutcome(status="declined")
        approved_by = consent.by
    refund = await pay_back.run(
        folder=input.folder, order=input.order, cents=input.cents, approved_by=approved_by
    )
    return RefundOutcome(status="paid", receipt=refund.receipt)
