from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ksl.agent.tool_set import ToolError
from ksl.agent.tools.skills import SkillTools, read_skills
from ksl.build.discover import discover, unload
from ksl.errors import MalformedDefinition

from tests.integration.agent_tools.places import Calls, place

REFUNDS = """---
name: refunds
description: >
  How refunds are made,
  and by whom.
license: "MIT"
---

# Refunds
Ask first.
"""


@pytest.fixture
def skill(tmp_path: Path) -> Path:
    folder = tmp_path / "skills" / "refunds"
    (folder / "references").mkdir(parents=True)
    (folder / "SKILL.md").write_text(REFUNDS)
    (folder / "references" / "limits.md").write_text("100 at most")
    return folder


async def test_skills_are_listed_and_read_when_they_are_wanted(tmp_path: Path, skill: Path) -> None:
    tools = SkillTools(["refunds"])
    offer = await tools.offer(place(tmp_path))
    assert [each.name for each in offer.tools] == ["skill"]
    assert offer.instructions.endswith("\n- refunds: How refunds are made, and by whom.")
    assert "Ask first" not in offer.instructions
    call = Calls(tools, tmp_path)
    read = await call("skill", name="refunds")
    assert read == "# Refunds\nAsk first.\n\n\nFurther files of this skill:\n- references/limits.md"
    assert await call("skill", name="refunds", file="references/limits.md") == "100 at most"


async def test_nothing_else_is_read(tmp_path: Path, skill: Path) -> None:
    other = tmp_path / "skills" / "payroll"
    shutil.copytree(skill, other)
    (tmp_path / "secret.txt").write_text("a secret")
    (skill / "link.md").symlink_to(tmp_path / "secret.txt")
    call = Calls(SkillTools(["refunds"]), tmp_path)
    with pytest.raises(ToolError, match=r"there is no skill 'payroll'\. The skills are: refunds"):
        await call("skill", name="payroll")
    with pytest.raises(ToolError, match="there is no skill"):
        await call("skill", name="../skills/refunds")
    with pytest.raises(ToolError, match=r"'\.\.'"):
        await call("skill", name="refunds", file="../../secret.txt")
    with pytest.raises(ToolError, match="link"):
        await call("skill", name="refunds", file="link.md")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# Refunds", "does not begin with front matter"),
        ("---\nname: refunds\n---\ntext", "needs a description"),
        ("---\nname: refunds\ndescription: " + "x" * 1_025 + "\n---\n", "needs a description"),
        ("---\nname: other\ndescription: Some.\n---\n", "has the name 'other'; its folder is 'refunds'"),
        ("---\ndescription: Some.\n---\n", "has the name None"),
    ],
)
def test_a_skill_without_its_head_is_refused(tmp_path: Path, skill: Path, text: str, said: str) -> None:
    (skill / "SKILL.md").write_text(text)
    with pytest.raises(MalformedDefinition, match=said):
        read_skills(["refunds"], tmp_path)


@pytest.mark.parametrize("name", ["../refunds", "Refunds", "a/b", ""])
def test_a_skill_is_named_by_a_slug(tmp_path: Path, skill: Path, name: str) -> None:
    with pytest.raises(MalformedDefinition, match="slug"):
        read_skills([name], tmp_path)


def test_a_project_whose_agent_has_an_unknown_skill_does_not_build(tmp_path: Path, skill: Path) -> None:
    (tmp_path / "agents").mkdir()
    file = tmp_path / "agents" / "desk.py"
    file.write_text(
        "from ksl import Agent\n"
        "known = Agent(slug='known', model='test/echo', skills=['refunds'])\n"
        "support = Agent(slug='support', model='test/echo', skills=['refunds', 'returns'])\n"
    )
    project = discover(tmp_path)
    unload(project)
    assert [(failure.file, failure.line, failure.code) for failure in project.failures] == [
        ("agents/desk.py", 3, "KSL010")
    ]
    assert "agent support: unknown skill 'returns'" in project.failures[0].error
    assert "skills/returns/SKILL.md" in project.failures[0].error
