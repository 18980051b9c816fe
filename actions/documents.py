"""A folder of text files, worked through one by one."""

from __future__ import annotations

import hashlib
import json
import re

from pydantic import BaseModel

from ksl import action

from actions.files import existing_folder, inside, write_whole


class Plan(BaseModel):
    items: list[str]  # names of the files worth processing, in order
    skipped: dict[str, str]  # name -> why not


class Item(BaseModel):
    name: str
    output: str  # name below `done`
    words: int
    lines: int


class Fingerprint(BaseModel):
    output: str
    sha256: str
    size: int  # bytes


@action
def triage(folder: str, limit: int) -> Plan:
    """Sorts the folder's files into those to process and those to leave, at most `limit` of the first."""
    items: list[str] = []
    skipped: dict[str, str] = {}
    for path in sorted(existing_folder(folder).iterdir()):
        if not path.is_file() or path.name.startswith("."):
            continue
        content = path.read_bytes()
        if not content.strip():
            skipped[path.name] = "empty"
        elif b"\0" in content:
            skipped[path.name] = "not text"
        elif len(items) == limit:
            skipped[path.name] = f"over the limit of {limit}"
        else:
            items.append(path.name)
    return Plan(items=items, skipped=skipped)


@action
def process_item(folder: str, name: str) -> Item:
    """Tidies one file into `done`: no spaces at line ends, no double blank lines, a newline at the end."""
    root = existing_folder(folder)
    text = inside(root, name).read_text(encoding="utf-8", errors="replace")
    lines = [line.rstrip() for line in text.splitlines()]
    tidy = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"
    write_whole(inside(root / "done", name), tidy)
    return Item(name=name, output=name, words=len(tidy.split()), lines=tidy.count("\n"))


@action(concurrency=4)
def fingerprint(folder: str, output: str) -> Fingerprint:
    content = inside(existing_folder(folder) / "done", output).read_bytes()
    return Fingerprint(output=output, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


@action
def write_manifest(folder: str, fingerprints: list[Fingerprint]) -> str:
    """Lists the outputs with their digests; returns the manifest's absolute path."""
    path = existing_folder(folder) / "done" / "manifest.json"
    write_whole(path, json.dumps([one.model_dump() for one in fingerprints], indent=2) + "\n")
    return str(path)
