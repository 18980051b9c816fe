"""A support desk in a folder: past tickets to learn from, a pager, a list of bugs."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

from pydantic import BaseModel

from ksl import ActionContext, action

from actions.files import existing_folder, write_whole

Kind = Literal["outage", "security", "bug", "question", "other"]

KEYWORDS: dict[Kind, frozenset[str]] = {
    "outage": frozenset({"down", "outage", "unreachable", "offline", "nothing", "502", "503"}),
    "security": frozenset({"leak", "leaked", "password", "breach", "vulnerability", "phishing"}),
    "bug": frozenset({"bug", "broken", "crash", "crashes", "error", "wrong", "traceback", "fails"}),
    "question": frozenset({"how", "where", "can", "could", "what", "why", "help"}),
}


class Verdict(BaseModel):
    kind: Kind
    certainty: float  # 0 to 1: the share of telling words that speak for this kind


@action
def classify(text: str) -> Verdict:
    """Counts telling words. A model can take this action's place: the workflow would not change."""
    words = Counter(_words(text))
    found: dict[Kind, int] = {
        kind: sum(words[word] for word in telling) for kind, telling in KEYWORDS.items()
    }
    total = sum(found.values())
    if not total:
        return Verdict(kind="other", certainty=0.0)
    kind: Kind = max(found, key=found.__getitem__)
    return Verdict(kind=kind, certainty=found[kind] / total)


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
