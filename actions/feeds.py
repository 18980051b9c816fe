"""Feeds kept as files, RSS or Atom, and what is new in them."""

from __future__ import annotations

import re
from datetime import date
from xml.etree import ElementTree as ET

from pydantic import BaseModel

from ksl import FatalError, action

from actions.files import existing_folder, inside, write_whole

ENTITY = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


class Entry(BaseModel):
    feed: str
    title: str
    link: str


class Ranked(BaseModel):
    entries: list[Entry]  # the most telling first
    left_out: int


@action
def list_feeds(folder: str) -> list[str]:
    return sorted(path.name for path in (existing_folder(folder) / "feeds").glob("*.xml"))


@action
def read_feed(folder: str, name: str) -> list[Entry]:
    """The entries of one feed. FatalError where it is no feed: reading it again would not make it one."""
    content = inside(existing_folder(folder) / "feeds", name).read_bytes()
    if ENTITY.search(content):
        raise FatalError(f"{name} declares entities, which no feed needs; it is not read")
    try:
        root = ET.fromstring(content)
    except ET.ParseError as error:
        raise FatalError(f"{name} is not XML: {error}") from None
    found: list[Entry] = []
    for item in root.iter():
        if _tag(item) in ("item", "entry"):
            fields = {_tag(child): child for child in item}
            link = fields.get("link")
            found.append(
                Entry(
                    feed=name,
                    title=_text(fields.get("title")) or "untitled",
                    link="" if link is None else link.get("href") or _text(link),
                )
            )
    return found


@action
def rank_entries(entries: list[Entry], topics: list[str], most: int) -> Ranked:
    """Those that name a topic first, in the order they came; each link once."""
    wanted = [topic.casefold() for topic in topics]
    unique = list({entry.link or entry.title: entry for entry in entries}.values())
    unique.sort(key=lambda entry: -sum(topic in entry.title.casefold() for topic in wanted))
    return Ranked(entries=unique[:most], left_out=max(len(unique) - most, 0))


@action
def write_digest(folder: str, day: date, ranked: Ranked, unread: list[str]) -> str:
    lines = [f"# {day:%A, %d %B %Y}", ""]
    lines += [f"- [{entry.title}]({entry.link}) ({entry.feed})" for entry in ranked.entries] or [
        "Nothing new."
    ]
    if ranked.left_out:
        lines += ["", f"{ranked.left_out} more were left out."]
    if unread:
        lines += ["", f"Could not be read: {', '.join(unread)}."]
    path = inside(existing_folder(folder) / "digests", f"{day:%Y-%m-%d}.md")
    write_whole(path, "\n".join([*lines, ""]))
    return str(path)


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ET.Element | None) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())
