from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from ksl.build.discover import discover, unload
from ksl.views.answer_lanes import answer_lanes
from ksl.views.canvas import canvas_json

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"approved": {}, "level": {}}}
HEAD = """
from typing import Any
from pydantic import BaseModel
from ksl import Context, action, workflow

class Answer(BaseModel):
    approved: bool
    level: str = ""

@action
async def publish(text: str = "") -> None: ...

@action
async def discard() -> None: ...
"""


def lanes_of(folder: Path, body: str, step: str = "hook#0", schema: Any = SCHEMA) -> list[tuple[str, str]]:
    (folder / "ksl.toml").write_text("")
    (folder / "workflows").mkdir()
    text = textwrap.indent(textwrap.dedent(body), "    ")
    (folder / "workflows" / "flow.py").write_text(
        f"{HEAD}\n@workflow\nasync def flow(ctx: Context) -> Any:\n{text}"
    )
    project = discover(folder)
    try:
        project.raise_if_broken()
        return answer_lanes(canvas_json(project, "flow", expand=True), step, schema)
    finally:
        unload(project)


@pytest.mark.parametrize(
    ("body", "lanes"),
    [
        (
            """
            answer = await ctx.hook(Answer)
            if answer.approved:
                await publish.run()
            else:
                await discard.run()
            """,
            [("answer.approved", "publish"), ("else", "discard")],
        ),
        (
            """
            answer = await ctx.hook(Answer)
            if not answer.approved:
                return "declined"
            await publish.run()
            """,
            [("not answer.approved", "return 'declined'"), ("else", "publish")],
        ),
        (
            """
            try:
                answer = await ctx.hook(Answer)
            except ValueError:
                return None
            match answer.level:
                case "high":
                    raise ValueError
                case _:
                    pass
            """,
            [("'high'", "raise ValueError"), ("else", "the end")],
        ),
    ],
)
def test_the_lanes_of_the_next_decision_are_told(
    tmp_path: Path, body: str, lanes: list[tuple[str, str]]
) -> None:
    assert lanes_of(tmp_path, body) == lanes


@pytest.mark.parametrize(
    "body",
    [
        "answer = await ctx.hook(Answer)\nawait publish.run()\nif answer.approved:\n    await discard.run()\n",
        "answer = await ctx.hook(Answer)\nif ctx.attempt > 1:\n    await discard.run()\n",
        "return await ctx.hook(Answer)\n",
        "for _ in range(3):\n    answer = await ctx.hook(Answer)\nif answer.approved:\n    await discard.run()\n",
    ],
)
def test_what_is_no_decision_on_the_answer_is_not_told(tmp_path: Path, body: str) -> None:
    assert lanes_of(tmp_path, body) == []


def test_nothing_is_told_of_a_payload_without_fields_and_of_steps_that_are_elsewhere(tmp_path: Path) -> None:
    body = "answer = await ctx.hook(Answer)\nif answer.approved:\n    await publish.run()\n"
    assert lanes_of(tmp_path, body, schema=None) == []
    (tmp_path / "inner").mkdir()
    assert lanes_of(tmp_path / "inner", body, step="other#0/hook#0") == []
