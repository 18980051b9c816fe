"""A support desk in a folder: past tickets to learn from, a pager, a list of bugs."""

from __future__ import annotations

import re
from typing import Literal

from ksl import ActionContext, action

from actions.files import existing_folder, write_whole

Kind = Literal["outage", "security", "bug", "question", "other"]


@action
def add_context(folder: str, text: str) -> str:
    """The text, followed by the past ticket that shares most words with it and is not in it yet."""
    words = set(_words(text))
    best, shared = "", 0
    for path in sorted((existing_folder(folder) / "tickets").glob("*.txt")):
        past = path.read_text(encoding="utf-8", errors="replace").strip()
        if past not in text and (common := len(words & set(_words(past)))) > shared:
            best, shared = past, common
    return f"{text}\n\n{best}" if best else text


@action
def page_on_call(ctx: ActionContext, folder: str, kind: Kind, text: str) -> str:
    return _leave(ctx, folder, "pages", f"{kind.upper()}\n\n{text}")


@action
def file_bug(ctx: ActionContext, folder: str, text: str) -> str:
    return _leave(ctx, folder, "bugs", text)


def _leave(ctx: ActionContext, folder: str, where: str, text: str) -> str:
    """A file named by the step, so that another attempt writes the same one."""
    name = "".join(letter for letter in ctx.idempotency_key if letter.isalnum())
    path = existing_folder(folder) / where / f"{name}.txt"
    write_whole(path, f"{text}\n")
    return str(path)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.casefold())
