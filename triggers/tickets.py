"""The help desk posts each new ticket, signed; what is no question of a customer is left alone."""

from __future__ import annotations

import os

from pydantic import BaseModel, Field, SecretStr

from ksl import Credential, Delivery, StandardWebhooks, WebhookSource

from workflows.llm_triage import llm_triage


class DeskSecret(BaseModel):
    secret: SecretStr


class Posted(BaseModel):
    event: str = Field(description="ticket.created, ticket.closed ...")
    sender: str
    subject: str = ""
    text: str = ""


def ticket_of(posted: Posted, delivery: Delivery) -> dict[str, str]:
    """The input of the triage. `KSL_DESK` is the folder that holds the tickets of the past."""
    text = f"{posted.subject}\n{posted.text}".strip() or f"(nothing but delivery {delivery.delivery_id})"
    return {"folder": os.environ.get("KSL_DESK", "desk"), "sender": posted.sender, "text": text}


tickets = WebhookSource(
    slug="tickets",
    endpoint="tickets",
    description="New tickets of the help desk.",
    payload=Posted,
    filter=lambda posted: posted.event == "ticket.created",
    verify=StandardWebhooks(credential=Credential("help-desk", fields=DeskSecret)),
)
tickets.attach(llm_triage, transform=ticket_of)
