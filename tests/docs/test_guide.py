from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ksl.define.action import Action
from ksl.define.context import Context
from ksl.define.workflow import Workflow

from tests.docs.console import Command, blocks
from tests.docs.playing import play

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "guide").glob("*.md"))
PLAYED = [page for page in PAGES if any(isinstance(block, Command) for block in blocks(page))]


@pytest.mark.process
@pytest.mark.parametrize("page", PLAYED, ids=lambda page: page.stem)
def test_a_page_runs_as_printed(page: Path, tmp_path: Path) -> None:
    (tmp_path / "ksl.toml").touch()
    play(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_python_block_is_python(page: Path) -> None:
    for source in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def options(definition: type, *, of: str) -> set[str]:
    import inspect

    parameters = inspect.signature(definition.__init__).parameters.values()
    found = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert found, of
    return found


def told(page: str) -> set[str]:
    """Names in the first cells of the page's tables."""
    text = (ROOT / "docs" / "guide" / page).read_text()
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(?:await )?(?:ctx\.)?([a-z_]+)", cell)}


def test_every_option_of_a_workflow_is_told_of() -> None:
    assert options(Workflow, of="workflow") <= told("workflows.md")


def test_every_option_of_an_action_is_told_of() -> None:
    assert options(Action, of="action") <= told("actions.md")


def test_everything_a_context_has_is_told_of() -> None:
    names = {name for name in dir(Context) if not name.startswith("_")}
    assigned = set(
        re.findall(r"self\.([a-z]\w*)(?:: \w+)? =", Path(Context.__init__.__code__.co_filename).read_text())
    )
    assert (names | assigned) <= told("workflows.md")
