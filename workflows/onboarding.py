"""A workflow inside another: `enrich-lead` is a step of this run, and its own steps are recorded below it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from ksl import workflow

from actions.leads import open_account
from actions.mail import write_letter
from workflows.enrich_lead import Lead, enrich_lead


class Newcomer(BaseModel):
    folder: str = Field(description="Holds what enrich-lead reads; accounts and letters are written here.")
    name: str = Field(min_length=1)
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")


class Onboarded(BaseModel):
    plan: Literal["starter", "team", "enterprise"]
    points: int
    account: str  # absolute path of the account's folder
    letter: str  # absolute path of the welcome letter


@workflow(slug="onboarding", description="Enriches a newcomer, opens an account and writes a welcome.")
async def onboarding(input: Newcomer) -> Onboarded:
    lead = await enrich_lead.run(Lead(folder=input.folder, name=input.name, email=input.email))
    plan: Literal["starter", "team", "enterprise"]
    match lead.points:
        case points if points >= 70:
            plan = "enterprise"
        case points if points >= 40:
            plan = "team"
        case _:
            plan = "starter"
    account = await open_account.run(folder=input.folder, email=input.email, plan=plan)
    known = "; ".join(lead.reasons) or "nothing yet"
    letter = await write_letter.run(
        folder=input.folder,
        to=input.email,
        subject="Welcome",
        text=f"Hello {input.name},\n\nyour {plan} account is open. What we know: {known}.",
    )
    return Onboarded(plan=plan, points=lead.points, account=account, letter=letter.path)
