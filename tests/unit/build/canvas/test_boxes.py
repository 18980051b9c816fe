from __future__ import annotations

from pathlib import Path

import pytest

from ksl.build.canvas.boxes import Boxes, Place, boxes
from ksl.build.canvas.expand import expanded
from ksl.build.canvas.glyphs import ASCII, UNICODE, Glyphs, cells
from ksl.build.canvas.lights import Light, Lights, NodeState
from ksl.build.canvas.outline import outline, outline_lines
from ksl.build.canvas.words import PRESSING

from tests.unit.build.canvas.drawing import drawn

BODY = """
    await a.run()
    try:
        await b.run()
    except ValueError:
        await a.run()
        return
    for x in xs:
        await b.run()
"""


def light(
    state: NodeState, *, counts: dict[NodeState, int] | None = None, tries: int = 1, note: str = ""
) -> Light:
    return Light(state, counts or {state: 1}, tries, note, 1_000, 1_210)


LIGHTS: Lights = {
    "a": light("done"),
    "b": light("caught", note="ValueError", tries=3),
    "a~2": light("skipped"),
    "b~2": light("running", counts={"done": 7, "failed": 1, "running": 1}),
}


def test_states_are_told_by_signs(tmp_path: Path) -> None:
    text = boxes(drawn(tmp_path, BODY), LIGHTS).text
    assert (
        text
        == """\
        ( test )
            │
        ╭───────╮
        │ ✓ ▸ a │
        ╰───────╯
            │
      ┏╸try╺━━━━━━┓   ┏╸on ValueError╺━┓
      ┃ ╭───────╮ ┃╌╌▸┃   ╭─────────╮  ┃
      ┃ │ ! ▸ b │ ┃   ┃   │ · ▸ a~2 │  ┃
      ┃ ╰───────╯ ┃   ┃   ╰─────────╯  ┃
      ┗━━━━━━━━━━━┛   ┃        │       ┃
            │         ┃  ( ■ return )  ┃
            │         ┗━━━━━━━━━━━━━━━━┛
            │
┏╸↻ for x in xs╺━━━━━━━┓
┃ ╭──────────────────╮ ┃
┃ │ ● ▸ b~2 7✓ 1✗ 1● │ ┃
┃ ╰──────────────────╯ ┃
┗━━━━━━━━━━━━━━━━━━━━━━┛
            │
         ( end )
"""
    )


def test_the_same_in_ascii(tmp_path: Path) -> None:
    text = boxes(drawn(tmp_path, BODY), LIGHTS, ascii=True).text
    assert text.isascii()
    assert "| [ok] > a |" in text
    assert "[..] > b~2 7[ok] 1[!!] 1[..]" in text


def test_an_outline_tells_states_in_a_column(tmp_path: Path) -> None:
    assert (
        outline(drawn(tmp_path, BODY), LIGHTS)
        == """\
✓ ▸ a                         0.21 s
┌ try
│  ! ▸ b                      ValueError, 3 tries
├╌ on ValueError
│  · ▸ a~2
│  ■ return
└
┌ ↻ for x in xs
│  ● ▸ b~2                    7 done, 1 failed, 1 running
└
"""
    )


def test_an_outline_in_ascii(tmp_path: Path) -> None:
    body = "await a.run('é')\nawait asyncio.gather(a.run(), b.run(), return_exceptions=True)"
    assert (
        outline(drawn(tmp_path, body), ascii=True)
        == """\
> a  '?'
+ gather collects errors
|  > a~2
+
|  > b
+
"""
    )


def test_an_empty_branch_is_as_wide_as_its_label(tmp_path: Path) -> None:
    body = "if xs == 1:\n    await a.run()\nelif len(xs) > 22:\n    pass\nelse:\n    await b.run()"
    assert (
        boxes(drawn(tmp_path, body), None).text
        == """\
           ( test )
               │
     ⟨ first that holds ⟩
   ┌───────────┼──────────┐
xs == 1  len(xs) > 22   else
╭─────╮        │       ╭─────╮
│ ▸ a │        │       │ ▸ b │
╰─────╯        │       ╰─────╯
   └───────────┼──────────┘
               │
            ( end )
"""
    )


def test_wide_letters_take_two_cells(tmp_path: Path) -> None:
    drawing = boxes(drawn(tmp_path, "if xs == '日本': await a.run('日本')\nawait b.run()"))
    rows = drawing.text.splitlines()
    assert "⟨ xs == '日本' ⟩" in drawing.text
    # The line down from the question meets the row below it at the cell that it starts from.
    assert drawing.width == max(map(cells, rows))
    assert rows[1].index("│") == cells(rows[3][: rows[3].index("├")])


def test_a_drawing_says_how_large_it_is(tmp_path: Path) -> None:
    drawing = boxes(drawn(tmp_path, "await a.run()"))
    text = "( test )\n    │\n ╭─────╮\n │ ▸ a │\n ╰─────╯\n    │\n ( end )\n"
    assert drawing == Boxes(text, 8, 7, (Place("a", 1, 2, 7, 3),))


def test_steps_are_where_their_places_say(tmp_path: Path) -> None:
    canvas = drawn(tmp_path, BODY + "\n    await asyncio.wait([a.run(), b.run()])")
    drawing = boxes(canvas, LIGHTS)
    rows = drawing.text.splitlines()
    for place in drawing.places:
        middle = rows[place.row + place.height // 2][place.column : place.column + place.width]
        assert f"▸ {place.id}" in middle
    lines = outline_lines(canvas, LIGHTS)
    assert [line.id for line in lines if line.id is not None] == [place.id for place in drawing.places]
    assert all(line.id is None or f"▸ {line.id}" in line.text for line in lines)


def test_a_step_inside_another_workflow_is_called_by_its_own_name(tmp_path: Path) -> None:
    inner = drawn(tmp_path, "if xs:\n    return await a.run()\nelse:\n    return await b.run()")
    canvas = expanded(drawn(tmp_path, "await w.run()\nawait a.run()"), {"w": inner})
    drawing = boxes(canvas)
    assert [place.id for place in drawing.places] == ["w", "w/a", "w/b", "a"]
    assert "w/" not in drawing.text
    assert drawing.text.endswith("( end )\n"), "a return in there ends that workflow only"


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_every_state_has_a_sign_of_its_own(glyphs: Glyphs) -> None:
    assert set(glyphs.states) == set(PRESSING)
    assert len(set(glyphs.states.values())) == len(PRESSING)
    assert len({cells(sign) for sign in glyphs.states.values()}) == 1, "so that columns stay straight"


def test_nothing_reaches_the_terminal_that_could_steer_it(tmp_path: Path) -> None:
    canvas = drawn(tmp_path, "await a.run()")
    lights = {"a": light("failed", note="\x1b[2J\r\nboom\u202e")}
    for ascii in (False, True):
        assert outline(canvas, lights, ascii=ascii).replace("\n", "").isprintable()
