"""The outline as nested lists: what somebody who hears a page is told of a canvas."""

from __future__ import annotations

from pathlib import Path

from ksl.build.canvas.lights import Light, Lights, NodeState
from ksl.build.canvas.outline import Item, outline_items

from tests.unit.build.canvas.drawing import drawn

Told = str | tuple[str, list["Told"]]


def told(items: list[Item]) -> list[Told]:
    return [(item.said, told(item.items)) if item.items else item.said for item in items]


def light(state: NodeState, *, note: str = "", tries: int = 1) -> Light:
    return Light(state, {state: 1}, tries, note, 1_000, 2_400)


BODY = """
    await a.run()
    try:
        await b.run()
    except ValueError:
        await a.run()
        return
    for x in xs:
        if x.big:
            await b.run()
    await asyncio.gather(a.run(), b.run())
"""


def test_blocks_are_lists_within_lists(tmp_path: Path) -> None:
    assert told(outline_items(drawn(tmp_path, BODY))) == [
        "a, action",
        ("try", ["b, action"]),
        ("on ValueError", ["a~2, action", "return"]),
        ("for x in xs", [("if x.big", ["b~2, action"])]),
        ("gather", ["a~3, action"]),
        ("and", ["b~3, action"]),
    ]


def test_states_are_told_in_words_and_signs(tmp_path: Path) -> None:
    lights: Lights = {"a": light("done", tries=2), "b": light("retrying", note="try 3 in 4s")}
    done, retrying = outline_items(drawn(tmp_path, "await a.run()\nawait b.run()"), lights)
    assert done == Item("a, action, done in 1.4 s, 2 tries", "✓", "a", "done")
    assert retrying.said == "b, action, retrying, try 3 in 4s"


def test_steps_of_an_opaque_block_are_listed_below_it(tmp_path: Path) -> None:
    (block,) = outline_items(drawn(tmp_path, "await asyncio.wait([a.run(), b.run()])"), {})
    assert block.said.startswith("not drawn further: ")
    assert [item.said for item in block.items] == ["a, action, pending", "b, action, pending"]


def test_inputs_are_told_where_nothing_has_run(tmp_path: Path) -> None:
    (item,) = outline_items(drawn(tmp_path, "await a.run(x=xs)"))
    assert item.said == "a, action, with x=xs"
