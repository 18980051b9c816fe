"""What agents and prompts name, told before anything runs: models that cannot be asked."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from ksl.build.failure import relative
from ksl.define.agent import Agent
from ksl.errors import KslError

if TYPE_CHECKING:
    from ksl.agent.models import Models
    from ksl.build.discover import Project
    from ksl.build.site import Site


def model_problems(project: Project, models: Models) -> list[dict[str, Any]]:
    """Each with file, line, code and message. A model that is only known at run time is not looked at."""
    found: list[dict[str, Any]] = []

    def told(file: str, line: int, check: Callable[[], object]) -> None:
        try:
            check()
        except KslError as error:
            place = {"file": relative(file, project.folder), "line": line}
            found.append({**place, "code": error.code, "message": error.message})

    for agent in project.agents.values():
        if isinstance(agent, Agent):  # and not what its source tells of one
            file, _, line = agent.place.rpartition(":")
            told(file, int(line), partial(models.check, agent.model))
    for file, line, asked in _of_calls(project):
        told(file, line, partial(models.check, asked))
    return found


def _of_calls(project: Project) -> Iterator[tuple[str, int, str | None]]:
    """Of `prompt_llm`, where the call's source says which model."""
    seen: set[tuple[str, int, int]] = set()
    for slug in project.defined:
        table = project.tables.get(slug)
        for site in () if table is None else table.sites:
            place = (site.file, site.line, site.col)
            if site.kind != "llm" or table is None or place in seen:
                continue
            seen.add(place)
            call = _call(table.source.tree, site)
            given = (
                None
                if call is None
                else next((word.value for word in call.keywords if word.arg == "model"), None)
            )
            if call is None or any(word.arg is None for word in call.keywords):
                continue
            if given is None or (isinstance(given, ast.Constant) and given.value is None):
                yield site.file, site.line, None
            elif isinstance(given, ast.Constant) and isinstance(given.value, str):
                yield site.file, site.line, given.value


def _call(tree: ast.AST, site: Site) -> ast.Call | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (node.end_lineno, node.end_col_offset) == (
            site.end_line,
            site.end_col,
        ):
            return node
    return None
