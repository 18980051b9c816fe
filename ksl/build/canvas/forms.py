"""The calls that put steps together: told by the very function that is called, whatever its name there."""

from __future__ import annotations

import ast
import asyncio
from typing import Literal

from ksl.build.canvas.reached import Frame
from ksl.define.parallel import as_completed, bounded

Form = Literal["gather", "bounded", "wait", "wait_for", "shield", "detached", "task", "group", "timeout"]

_FORMS: dict[object, Form] = {
    asyncio.gather: "gather",
    bounded: "bounded",
    asyncio.wait: "wait",
    asyncio.as_completed: "wait",
    as_completed: "wait",
    asyncio.wait_for: "wait_for",
    asyncio.shield: "shield",
    asyncio.create_task: "detached",
    asyncio.ensure_future: "detached",
    asyncio.TaskGroup: "group",
    asyncio.timeout: "timeout",
    asyncio.timeout_at: "timeout",
}
_TAKES_STEPS: tuple[Form, ...] = ("gather", "bounded", "wait", "wait_for", "shield", "detached", "task")


def form_of(node: ast.expr, frame: Frame) -> Form | None:
    """What a call does with the steps in its arguments; None for a call of something else."""
    if not isinstance(node, ast.Call):
        return None
    match node.func:
        case ast.Attribute(value=ast.Name(id=name), attr="create_task") if name in frame.groups:
            return "task"
        case ast.Name() | ast.Attribute():
            value = frame.resolve(node.func)
            try:
                known = _FORMS.get(value)
            except TypeError:  # cannot be hashed, so it is none of them
                known = None
            if known is None and isinstance(node.func, ast.Attribute) and node.func.attr == "create_task":
                return "detached"
            return known
        case _:
            return None


def takes_steps(node: ast.AST, frame: Frame) -> bool:
    return isinstance(node, ast.Call) and form_of(node, frame) in _TAKES_STEPS
