from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ksl.cli import exits
from ksl.cli.app import cli
from ksl.cli.invocation import SHARED

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGE = ROOT / "docs" / "guide" / "cli.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(
    re.findall(r"^### `([^`\n]+)`\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
)
FLAG = re.compile(r"(?<![\w-])--[a-z-]+")


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Leaves, by how they are called: "ksl runs show ID"."""
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
            yield " ".join([path, name, *arguments]), command


COMMANDS = dict(commands(cli, "ksl"))


def flags(command: click.Command) -> set[str]:
    return {flag for option in command.params if isinstance(option, click.Option) for flag in option.opts}


def test_every_command_has_a_section_in_the_order_of_the_help() -> None:
    assert list(SECTIONS) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_tells_of_every_flag_and_of_no_other(name: str) -> None:
    shared = {flag for option in SHARED for flag in option.opts}
    told = {
        flag for line in SECTIONS[name].splitlines() if line.startswith("- ") for flag in FLAG.findall(line)
    }
    assert told == flags(COMMANDS[name]) - shared


def test_the_shared_flags_are_told_of_once() -> None:
    before, _, _ = TEXT.partition("## The project")
    for option in SHARED:
        for flag in option.opts:
            assert f"`{flag}" in before


def test_the_exit_codes_are_those_of_the_code() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)}
    assert told == {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_names_a_command_that_is_not_there(page: Path) -> None:
    known = {
        " ".join(word for word in name.split() if word.islower() and "|" not in word) for name in COMMANDS
    }
    groups = {name.split()[1] for name in known}
    for first, second in re.findall(r"(?:`|\$ )ksl ([a-z]+)(?: ([a-z]+))?", page.read_text(encoding="utf-8")):
        assert first in groups, f"ksl {first}"
        assert f"ksl {first}" in known or not second or f"ksl {first} {second}" in known, (
            f"ksl {first} {second}"
        )
