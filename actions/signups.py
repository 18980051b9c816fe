"""What a name and a mail address say by themselves, and the page that the office reads it on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from ksl import ActionContext, action

from actions.files import write_whole
from actions.git_history import PROJECT
from actions.leads import FREE_MAIL
from actions.report import FOLDER_VARIABLE

Segment = Literal["person", "company", "school", "public"]
SCHOOLS = ("edu", "ac", "school")


class Brief(BaseModel):
    segment: Segment
    organisation: str | None
    text: str


@action
def research_signup(name: str, email: str) -> Brief:
    """Reads the mail domain: free mail is a person, an .edu a school, the rest organisations."""
    domain = email.rpartition("@")[2].casefold()
    labels = domain.split(".")
    segment: Segment = "company"
    if domain in FREE_MAIL:
        segment = "person"
    elif any(label in SCHOOLS for label in labels):
        segment = "school"
    elif "gov" in labels:
        segment = "public"
    if segment == "person":
        return Brief(segment=segment, organisation=None, text=f"{name} signed up privately.")
    organisation = labels[-2 if len(labels) > 1 else 0].replace("-", " ").title()
    return Brief(
        segment=segment, organisation=organisation, text=f"{name} of {organisation} ({segment}) signed up."
    )


@action
def post_brief(ctx: ActionContext, text: str) -> str:
    """Puts a note on the board: a file below `KSL_REPORTS`, else `reports/` in the project. Once per step."""
    board = Path(os.environ.get(FOLDER_VARIABLE) or PROJECT / "reports") / "board"
    name = "".join(letter for letter in ctx.idempotency_key if letter.isalnum())
    write_whole(board / f"{name}.txt", f"{text}\n")
    return str(board / f"{name}.txt")
