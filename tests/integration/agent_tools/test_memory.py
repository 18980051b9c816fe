from __future__ import annotations

from pathlib import Path

import pytest

from ksl.agent.tool_set import ToolError
from ksl.agent.tools import tool_sets
from ksl.agent.tools.memory import MemoryTools
from ksl.define.agent import Agent

from tests.integration.agent_tools.places import Calls, place


@pytest.fixture
def call(tmp_path: Path) -> Calls:
    return Calls(MemoryTools(), tmp_path)


def _files(folder: Path) -> Path:
    return folder / ".ksl" / "memory" / "support"


async def test_what_is_kept_is_told_with_the_next_prompt(call: Calls, tmp_path: Path) -> None:
    assert "It is empty so far." in (await call.tools.offer(place(tmp_path))).instructions
    await call("memory_write", path="MEMORY.md", content="Ana likes short answers.\n")
    await call("memory_write", path="people/ana.md", content="Born in Porto.")
    told = (await MemoryTools().offer(place(tmp_path))).instructions  # as after a restart
    assert "<memory>\nAna likes short answers.\n\n</memory>" in told
    assert "- people/ana.md (14 bytes)" in told
    assert "Porto" not in told


async def test_a_long_memory_is_cut_where_it_is_told(call: Calls, tmp_path: Path) -> None:
    await call("memory_write", path="MEMORY.md", content="x" * 20_000)
    told = (await call.tools.offer(place(tmp_path))).instructions
    assert "[cut after 8,000 characters]" in told
    assert len(told) < 10_000


async def test_it_is_searched_by_words_and_ranked(call: Calls) -> None:
    await call(
        "memory_write", path="a.md", content="# Orders\n\nThe café opens late.\n\nOrders go to the warehouse."
    )
    await call("memory_write", path="b.md", content="Nothing of interest.")
    assert await call("memory_search", words="CAFE opening") == "a.md:\nThe café opens late."
    assert (await call("memory_search", words="orders warehouse")).startswith(
        "a.md:\nOrders go to the warehouse."
    )
    assert await call("memory_search", words="penguin") == "nothing was found"


async def test_a_search_sees_edits_and_deletions_by_whoever_made_them(call: Calls, tmp_path: Path) -> None:
    await call("memory_write", path="a.md", content="The cat is grey.")
    assert "grey" in await call("memory_search", words="cat")
    await call("memory_edit", path="a.md", old="grey", new="white")
    assert "white" in await call("memory_search", words="cat")
    (_files(tmp_path) / "a.md").write_text("The dog is black.")
    assert await call("memory_search", words="cat white") == "nothing was found"
    assert "black" in await call("memory_search", words="dog")
    await call("memory_delete", path="a.md")
    assert await call("memory_search", words="dog") == "nothing was found"


@pytest.mark.parametrize("damage", [b"", b"no database at all, but long enough to be looked at" * 50])
async def test_a_lost_or_damaged_index_is_made_again(call: Calls, tmp_path: Path, damage: bytes) -> None:
    await call("memory_write", path="a.md", content="The cat is grey.")
    assert "grey" in await call("memory_search", words="cat")
    index = tmp_path / ".ksl" / "memory" / ".index" / "support.db"
    index.write_bytes(damage)
    assert "grey" in await call("memory_search", words="cat")
    index.unlink()
    assert "grey" in await call("memory_search", words="cat")


@pytest.mark.parametrize("words", ['"', "a AND (", "NEAR(", "*", "path:x", "'; DROP TABLE piece; --", "-"])
async def test_words_are_words_and_no_language(call: Calls, words: str) -> None:
    await call("memory_write", path="a.md", content="one")
    assert await call("memory_search", words=words) == "nothing was found"


async def test_one_agent_does_not_see_what_another_keeps(call: Calls, tmp_path: Path) -> None:
    await call("memory_write", path="a.md", content="The cat is grey.")
    other = Calls(MemoryTools(), tmp_path, agent="sales")
    assert await other("memory_search", words="cat") == "nothing was found"
    with pytest.raises(ToolError, match=r"there is no a\.md"):
        await other("memory_read", path="a.md")
    with pytest.raises(ToolError, match=r"'\.\.'"):
        await other("memory_read", path="../support/a.md")


async def test_it_holds_only_so_much(call: Calls) -> None:
    with pytest.raises(ToolError, match="a file may have 65,536"):
        await call("memory_write", path="a.md", content="x" * 70_000)
    for n in range(64):
        await call("memory_write", path=f"{n}.md", content="x" * 65_536)
    with pytest.raises(ToolError, match="Delete something first"):
        await call("memory_write", path="64.md", content="x")
    await call("memory_delete", path="0.md")
    await call("memory_write", path="64.md", content="x")


async def test_links_are_not_followed(call: Calls, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("a secret")
    _files(tmp_path).mkdir(parents=True)
    (_files(tmp_path) / "MEMORY.md").symlink_to(tmp_path / "secret.md")
    assert "a secret" not in (await call.tools.offer(place(tmp_path))).instructions
    assert await call("memory_search", words="secret") == "nothing was found"
    with pytest.raises(ToolError, match="link"):
        await call("memory_read", path="MEMORY.md")


async def test_only_markdown_is_written(call: Calls) -> None:
    with pytest.raises(ToolError, match=r"ends with \.md"):
        await call("memory_write", path="run.sh", content="x")


def test_an_agent_may_have_none(tmp_path: Path) -> None:
    with_it = tool_sets(Agent("support", model="test/echo"), folder=tmp_path)
    without = tool_sets(Agent("support", model="test/echo", memory=False), folder=tmp_path)
    assert [each.name for each in with_it] == ["memory"]
    assert without == []
