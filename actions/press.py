"""Drafts, pages and an archive: text files in three folders of one."""

from __future__ import annotations

import re

from pydantic import BaseModel

from ksl import FatalError, action

from actions.files import existing_folder, inside, write_whole


class Draft(BaseModel):
    name: str
    title: str
    text: str
    words: int
    open_points: list[str]  # lines that still say TODO


@action
def read_draft(folder: str, name: str) -> Draft:
    """A Markdown file below `drafts`; its first heading is the title."""
    path = inside(existing_folder(folder) / "drafts", name)
    if not path.is_file():
        raise FatalError(f"there is no draft {name!r} in {path.parent}")
    text = path.read_text(encoding="utf-8", errors="replace")
    heading = re.search(r"(?m)^#\s+(.+)$", text)
    return Draft(
        name=name,
        title=heading[1].strip() if heading else path.stem,
        text=text,
        words=len(text.split()),
        open_points=[line.strip() for line in text.splitlines() if "TODO" in line],
    )


@action
def publish_page(folder: str, draft: Draft, approved_by: str) -> str:
    """Writes the page below `pages`. The draft as it was approved, whatever the file says by now."""
    path = inside(existing_folder(folder) / "pages", draft.name)
    write_whole(path, f"{draft.text.rstrip()}\n\n<!-- approved by {approved_by} -->\n")
    return str(path)


@action
def archive_draft(folder: str, draft: Draft, because: str) -> str:
    path = inside(existing_folder(folder) / "archive", draft.name)
    write_whole(path, f"{draft.text.rstrip()}\n\n<!-- {because} -->\n")
    return str(path)
