from __future__ import annotations

from pathlib import Path

import pytest

from ksl.build.canvas.blocks import Decision, Loop, Step, Terminal, Try, Wait
from ksl.build.canvas.layout import Drawing, Edge, Frame, Label, Node, arrange
from ksl.build.canvas.svg.paper import Paper

from tests.unit.build.canvas.drawing import drawn
from tests.unit.build.canvas.geometry import box, check


def arranged(folder: Path, body: str) -> Drawing:
    canvas = drawn(folder, body)
    drawing = arrange(canvas, Paper())
    check(canvas, drawing)
    return drawing


def nodes(drawing: Drawing, kind: type[Step | Wait | Decision | Terminal]) -> list[Node]:
    return [shape for shape in drawing.shapes if isinstance(shape, Node) and isinstance(shape.of, kind)]


def frame(drawing: Drawing, kind: str) -> Frame:
    (found,) = [shape for shape in drawing.shapes if isinstance(shape, Frame) and shape.kind == kind]
    return found


def edges(drawing: Drawing, kind: str) -> list[Edge]:
    return [shape for shape in drawing.shapes if isinstance(shape, Edge) and shape.kind == kind]


def middle(node: Node) -> int:
    return node.x + node.face.width // 2


@pytest.mark.parametrize("leaves", ["return", "raise ValueError(xs)"])
def test_a_branch_that_only_leaves_stands_beside_its_question(tmp_path: Path, leaves: str) -> None:
    drawing = arranged(tmp_path, f"if not xs: {leaves}\nawait a.run()")
    (question,), (way_out,), (step,) = (nodes(drawing, kind) for kind in (Decision, Terminal, Step))
    assert way_out.x > question.x + question.face.width
    assert way_out.y + way_out.face.height // 2 == question.y + question.face.height // 2
    assert middle(step) == middle(question), "the way on is straight"
    assert [label.face.lines for label in drawing.shapes if isinstance(label, Label)] == [("yes",)]


def test_a_branch_that_ends_stands_beside_what_follows(tmp_path: Path) -> None:
    drawing = arranged(tmp_path, "if xs:\n    await a.run()\n    return\nawait b.run()")
    (question,) = nodes(drawing, Decision)
    ended, after = nodes(drawing, Step)
    assert middle(question) == middle(after) < middle(ended)
    assert ended.y == after.y
    (aside,) = edges(drawing, "aside")
    assert aside.points[0] == (question.x + question.face.width, question.y + question.face.height // 2)
    assert aside.points[-1] == (middle(ended), ended.y)


def test_what_is_too_wide_to_go_beside_something_goes_below_it(tmp_path: Path) -> None:
    body = "if xs:\n    await a.run()\n    return\nawait asyncio.gather(a.run(), b.run(), a.run())"
    drawing = arranged(tmp_path, body)
    (ended,) = (node for node in nodes(drawing, Terminal) if node.y < frame(drawing, "parallel").y)
    assert frame(drawing, "parallel").y > ended.y + ended.face.height


def test_a_branch_with_nothing_in_it_leads_past_at_the_right(tmp_path: Path) -> None:
    drawing = arranged(tmp_path, "if xs:\n    await a.run()\nawait b.run()")
    first, second = nodes(drawing, Step)
    assert middle(first) == middle(second)
    labels = [shape for shape in drawing.shapes if isinstance(shape, Label)]
    assert [label.face.lines for label in labels] == [("yes",), ("no",)]
    assert labels[1].x > first.x + first.face.width


def test_the_only_way_on_is_straight(tmp_path: Path) -> None:
    drawing = arranged(
        tmp_path, "if xs:\n    await a.run()\n    return\nelse:\n    await b.run()\nawait b.run()"
    )
    (question,) = nodes(drawing, Decision)
    left, right, after = nodes(drawing, Step)
    assert middle(left) < middle(right) == middle(question) == middle(after)


def test_handlers_stand_level_with_what_they_guard_and_are_tried_in_turn(tmp_path: Path) -> None:
    body = "try:\n    await a.run()\nexcept ValueError:\n    await b.run()\nexcept OSError:\n    pass\nawait a.run()"
    drawing = arranged(tmp_path, body)
    row = [box(shape) for shape in drawing.shapes if isinstance(shape, Frame)]
    assert [(edge.points[0][0], edge.points[1][0]) for edge in edges(drawing, "error")] == [
        (row[0][2], row[1][0]),
        (row[1][2], row[2][0]),
    ]


def test_what_follows_goes_on_beside_handlers_that_end(tmp_path: Path) -> None:
    body = "try:\n    await a.run()\nexcept ValueError:\n    await b.run()\n    await b.run()\n    raise\nawait a.run()"
    drawing = arranged(tmp_path, body)
    after = nodes(drawing, Step)[-1]
    handler = frame(drawing, "handler")
    assert after.y < handler.y + handler.height
    assert after.x + after.face.width < handler.x


def test_finally_takes_every_way_out_of_a_try(tmp_path: Path) -> None:
    body = """
        try:
            await a.run()
        except ValueError:
            await b.run()
            raise
        except OSError:
            await b.run()
        finally:
            await a.run()
    """
    drawing = arranged(tmp_path, body)
    always = frame(drawing, "finally")
    into = [edge for edge in drawing.shapes if isinstance(edge, Edge) and edge.points[-1][1] == always.y]
    assert [edge.kind for edge in into] == ["flow", "leave", "flow", "error"]
    assert all(always.x < edge.points[-1][0] < always.x + always.width for edge in into)


def test_a_finally_without_handlers_takes_the_error_too(tmp_path: Path) -> None:
    drawing = arranged(tmp_path, "try:\n    await a.run()\nfinally:\n    await b.run()")
    (error,) = edges(drawing, "error")
    assert error.points[-1][1] == frame(drawing, "finally").y


def test_a_loop_leads_back_unless_no_round_follows(tmp_path: Path) -> None:
    (back,) = edges(arranged(tmp_path, "for x in xs:\n    await a.run()"), "back")
    assert back.points[0][1] > back.points[-1][1]
    assert not edges(arranged(tmp_path, "for x in xs:\n    await a.run()\n    return"), "back")


def test_a_loop_that_never_ends_is_followed_by_nothing(tmp_path: Path) -> None:
    drawing = arranged(tmp_path, "while True:\n    await a.run()")
    loop = frame(drawing, "loop")
    assert isinstance(loop.of, Loop)
    assert drawing.height == loop.y + loop.height


def test_the_else_of_a_loop_is_one_of_two_ways_on(tmp_path: Path) -> None:
    body = "for x in xs:\n    if await a.run(): break\nelse:\n    await b.run()\nawait a.run()"
    labels = [shape.face.lines for shape in arranged(tmp_path, body).shapes if isinstance(shape, Label)]
    assert labels == [("yes",), ("no break",), ("break",)]
    alone = "for x in xs:\n    await a.run()\nelse:\n    await b.run()"
    assert not [shape for shape in arranged(tmp_path, alone).shapes if isinstance(shape, Label)]


def test_an_empty_handler_is_drawn(tmp_path: Path) -> None:
    drawing = arranged(tmp_path, "try:\n    await a.run()\nexcept ValueError:\n    pass")
    assert frame(drawing, "handler").width > 0
    assert isinstance(frame(drawing, "try").of, Try)


def test_a_question_with_wide_lanes_is_asked_beside_a_handler(tmp_path: Path) -> None:
    lanes = "if xs == 1:\n    await a.run()\nelif xs == 2:\n    await a.run()\nelse:\n    await a.run()"
    drawing = arranged(
        tmp_path, f"try:\n    await a.run()\nexcept ValueError:\n    await b.run()\n    raise\n{lanes}"
    )
    handler = frame(drawing, "handler")
    (question,) = nodes(drawing, Decision)
    assert question.y < handler.y + handler.height
    assert all(step.y > handler.y + handler.height for step in nodes(drawing, Step)[2:])
