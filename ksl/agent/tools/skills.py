"""Skills: what an agent can read up on when a task calls for it. It is told their names and what they are for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from ksl.agent.tool_set import Offer, ToolContext, ToolError
from ksl.agent.tools.arguments import Arguments, read_arguments, spec_of
from ksl.agent.tools.files import text_of
from ksl.agent.tools.folder import Folder
from ksl.define.slug import check_slug
from ksl.errors import MalformedDefinition

Json = dict[str, Any]
FILE_BYTES_MAX = 256 * 1024
DESCRIPTION_CHARS_MAX = 1024
HEAD = "SKILL.md"
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_KEY = re.compile(r"([A-Za-z][\w-]*):(?:[ \t]+(.*))?")


class Skill(msgspec.Struct, frozen=True):
    name: str
    description: str
    text: str  # without the front matter
    files: list[str]  # beside SKILL.md


class ReadSkill(Arguments, frozen=True):
    name: Annotated[str, msgspec.Meta(description="Of the skill")]
    file: Annotated[str, msgspec.Meta(description="Another file of it; without, its SKILL.md")] = HEAD


class SkillTools:
    """`ksl.agent.tool_set.ToolSet` with the one tool. The files are the project's, and are only read."""

    name = "skills"
    names = ("skill",)

    def __init__(self, skills: Sequence[str]) -> None:
        self._skills = skills

    async def offer(self, context: ToolContext) -> Offer:
        skills = await asyncio.to_thread(read_skills, self._skills, context.folder)
        listed = "\n".join(f"- {skill.name}: {skill.description}" for skill in skills)
        about = "Reads a skill: instructions for a kind of task."
        return Offer(
            [spec_of("skill", about, ReadSkill)],
            f"You have these skills. Read one with the tool skill before you do what it is for:\n{listed}",
        )

    async def call(self, tool: str, arguments: Json, context: ToolContext) -> Any:
        asked = read_arguments(arguments, ReadSkill)
        if asked.name not in self._skills:
            raise ToolError(f"there is no skill {asked.name!r}. The skills are: {', '.join(self._skills)}")
        return await asyncio.to_thread(_read, asked, context.folder)

    async def close(self) -> None:
        pass


def read_skills(names: Sequence[str], folder: Path, *, where: str = "skills") -> list[Skill]:
    """`folder` is the project's. Errors: MalformedDefinition."""
    for name in names:
        if names.count(name) > 1:
            raise MalformedDefinition(f"{where}: skills=[...] has {name!r} twice.")
    return [_skill(name, folder, where) for name in names]


def _skill(name: str, folder: Path, where: str) -> Skill:
    check_slug(name, where=f"{where}, skills=[...]")
    place = f"skills/{name}/{HEAD}"
    if not (folder / "skills" / name / HEAD).is_file():
        raise MalformedDefinition(
            f"{where}: unknown skill {name!r}. It wants the file {place}, which is not there."
        )
    files = folder_of(name, folder)
    try:
        text = text_of(files, HEAD)
        beside = [each.path for each in files.walk() if each.is_file and each.path != HEAD]
    except ToolError as error:
        raise MalformedDefinition(f"{where}: skill {name!r} cannot be read: {error}.") from None
    front = _FRONT.match(text)
    if front is None:
        raise MalformedDefinition(
            f"{where}: {place} does not begin with front matter: a line ---, then name: and description:, then a "
            "line ---."
        )
    known = _pairs(front[1])
    description = known.get("description", "")
    if not description or len(description) > DESCRIPTION_CHARS_MAX:
        raise MalformedDefinition(
            f"{where}: {place} needs a description: of 1 to {DESCRIPTION_CHARS_MAX} characters, by which a model "
            "knows when to read it."
        )
    if known.get("name") != name:
        raise MalformedDefinition(
            f"{where}: {place} has the name {known.get('name')!r}; its folder is {name!r}."
        )
    return Skill(name, description, text[front.end() :].lstrip(), beside)


def folder_of(name: str, folder: Path) -> Folder:
    return Folder(folder / "skills" / name, file_bytes_max=FILE_BYTES_MAX)


def _read(asked: ReadSkill, folder: Path) -> str:
    if asked.file != HEAD:
        return text_of(folder_of(asked.name, folder), asked.file)
    try:
        skill = _skill(asked.name, folder, "skills")
    except MalformedDefinition as error:
        raise ToolError(str(error)) from None
    files = "".join(f"\n- {file}" for file in skill.files)
    return f"{skill.text}\n\nFurther files of this skill:{files}" if files else skill.text


def _pairs(text: str) -> dict[str, str]:
    """`key: value` lines; lines that are set in go on with a value. What else YAML can do is no part of it."""
    pairs: dict[str, list[str]] = {}
    key = ""
    for line in text.splitlines():
        found = _KEY.fullmatch(line.rstrip())
        if found is not None:
            key = found[1]
            value = (found[2] or "").strip()
            pairs[key] = [] if value in ("", ">", ">-", "|", "|-") else [value]
        elif key and line[:1].isspace() and line.strip():
            pairs[key].append(line.strip())
    return {key: _unquoted(" ".join(lines)) for key, lines in pairs.items()}


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
