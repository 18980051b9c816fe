from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ksl.build.canvas import extract
from ksl.build.canvas.as_json import as_json
from ksl.build.canvas.blocks import Decision, Input, Opaque, Step, Wait, walk
from ksl.build.canvas.draft import Draft
from ksl.build.canvas.mermaid import mermaid
from ksl.build.canvas.outline import WIDTH, outline
from ksl.build.canvas.reached import Reached
from ksl.build.canvas.statements import Statements
from ksl.errors import SourceMissing

from tests.unit.build.canvas.drawing import canvas, drawn, lines
from tests.unit.build.stand_in import is_context, kind_of, load, table_of


def test_inputs_are_shown_with_their_fields(tmp_path: Path) -> None:
    (step,) = drawn(tmp_path, "await a.run(xs, to=xs[0].id, text=f'{xs}')").blocks
    assert isinstance(step, Step)
    assert step.inputs == (Input("", "xs"), Input("to", "xs[0].id"), Input("text", "f'{xs}'"))
    assert not step.inputs_hidden


def test_inputs_given_by_stars_are_said_to_be_hidden(tmp_path: Path) -> None:
    first, second = drawn(tmp_path, "await a.run(*xs)\nawait b.run(1, **xs)").blocks
    assert isinstance(first, Step)
    assert isinstance(second, Step)
    assert (first.inputs, first.inputs_hidden, second.inputs_hidden) == ((), True, True)


def test_a_hook_stands_where_it_is_awaited_and_names_where_it_is_made(tmp_path: Path) -> None:
    blocks = drawn(tmp_path, "h = ctx.hook()\nawait a.run(h.url)\nawait h").blocks
    step, wait = blocks
    assert isinstance(step, Step)
    assert isinstance(wait, Wait)
    assert wait.at.line < step.at.line


def test_code_that_is_never_reached_is_unplaced(tmp_path: Path) -> None:
    body = "while True:\n    await a.run()\nawait b.run()"
    assert [site.key for site in drawn(tmp_path, body).unplaced] == ["b"]


def test_a_loop_that_is_left_by_a_break_is_gone_on_from(tmp_path: Path) -> None:
    body = "while True:\n    for x in xs:\n        break\n    if await a.run(): break\nawait b.run()"
    assert drawn(tmp_path, body).unplaced == ()


def test_statements_without_a_step_or_a_way_out_are_not_drawn(tmp_path: Path) -> None:
    body = """
        import json
        for x in xs:
            if x: continue
        try:
            y = 1
        except ValueError:
            pass
        match xs:
            case 1: y = 2
        with open("x") as z:
            pass
        del y
    """
    assert lines(tmp_path, body) == ["no steps"]


def test_a_helper_inside_a_helper_is_drawn_inside_it(tmp_path: Path) -> None:
    text = """
async def inner():
    if await a.run():
        return 1
    return 2
async def outer():
    return await inner()
async def body():
    await outer()
"""
    assert outline(canvas(tmp_path, text)).splitlines() == [
        "┌ ƒ outer()",
        "│  ┌ ƒ inner()",
        "│  │  ▸ a",
        "│  │  ┌ if await a.run()",
        "│  │  │  ■ return",
        "│  │  └",
        "│  └",
        "└",
    ]


def test_a_helpers_own_names_do_not_take_those_of_the_workflow(tmp_path: Path) -> None:
    text = """
async def body(a):
    await helper(a)
async def helper(b):
    await a.run()
    await b.run()
"""
    assert outline(canvas(tmp_path, text)).splitlines() == ["┌ ƒ helper()", "│  ▸ a", "│  ? *~d1", "└"]


def test_a_decorated_helper_is_one_block_since_its_decorator_may_call_it_twice(tmp_path: Path) -> None:
    text = """
import functools
def twice(function):
    @functools.wraps(function)
    async def both():
        await function()
        return await function()
    return both
@twice
async def helper():
    await a.run()
async def body():
    await helper()
"""
    assert outline(canvas(tmp_path, text)).splitlines() == ["▒ KSL101 helper()", "▒  ▸ a"]


def test_a_conditional_task_is_a_lane_with_a_decision(tmp_path: Path) -> None:
    body = """
        async with asyncio.TaskGroup() as tg:
            if xs:
                one, two = 1, 2
                tg.create_task(a.run(one))
            else:
                tg.create_task(b.run())
    """
    assert lines(tmp_path, body) == [
        "┌ ‖ task group",
        "│  ┌ if xs",
        "│  │  ▸ a  one",
        "│  ├ else",
        "│  │  ▸ b",
        "│  └",
        "└",
    ]


def test_syntax_that_is_not_known_becomes_one_block(tmp_path: Path) -> None:
    class Sometime(ast.stmt):
        _fields = ("body",)

    function = load(tmp_path / "flow.py", "async def body(xs):\n    if xs:\n        await a.run()\n")["body"]
    table = table_of(function)
    reached = Reached(table, kind_of=kind_of, is_context=is_context)
    frame = reached.enter(function)
    assert frame is not None
    inside = frame.node.body[0]
    assert isinstance(inside, ast.If)
    unknown = Sometime()
    unknown.body = inside.body  # pyright: ignore[reportAttributeAccessIssue]
    place = {name: getattr(inside, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")}
    for name, value in place.items():
        setattr(unknown, name, value)
    draft = Draft(reached)
    (block,) = Statements(draft, frame).statement(unknown)
    assert isinstance(block, Opaque)
    assert (block.code, [step.id for step in block.steps], draft.unplaced) == ("KSL006", ["a"], ())


def test_columns_in_json_are_characters(tmp_path: Path) -> None:
    found = drawn(tmp_path, "größe = 'äöü', await a.run(größe)")
    (step,) = as_json(found)["blocks"]
    text = "    größe = 'äöü', await a.run(größe)"
    start = text.index("a.run") + 1
    assert (step["at"]["column"], step["at"]["end_column"]) == (start, len(text) + 1)
    assert step["inputs"] == [{"field": "", "expression": "größe"}]


def test_identifiers_in_any_script_are_drawn(tmp_path: Path) -> None:
    text = "async def 准备(件): await a.run(件)\nasync def body(件, ctx):\n    await 准备(件)\n"
    assert outline(canvas(tmp_path, text)).splitlines() == ["┌ ƒ 准备()", "│  ▸ a  件", "└"]


def test_a_line_of_the_outline_is_never_longer_than_its_width(tmp_path: Path) -> None:
    body = f"if {'xs or ' * 50}xs:\n    await a.run(text={'x' * 300!r})"
    found = lines(tmp_path, body)
    assert max(map(len, found)) == WIDTH
    assert found[0].endswith("…")


def test_a_file_of_three_thousand_lines_is_drawn(tmp_path: Path) -> None:
    steps = "".join(f"    if x{n} := await a.run({n}):\n        await b.run()\n" for n in range(1500))
    found = canvas(tmp_path, f"async def body():\n{steps}")
    assert len(found.blocks) == 3000
    assert found.unplaced == ()


def test_an_expression_too_deep_to_follow_is_one_block(tmp_path: Path) -> None:
    deep = "(await a.run())" + ".x" * 700
    found = drawn(tmp_path, f"await b.run()\ny = {deep}\nz = {'xs + ' * 700}xs\nif xs: return 1")
    step, hidden, *_ = found.blocks
    assert isinstance(step, Step)
    assert isinstance(hidden, Opaque)
    assert (hidden.code, [inner.id for inner in hidden.steps], found.unplaced) == ("KSL006", ["a"], ())


def test_a_plain_function_that_hands_a_step_on_is_drawn_where_it_is_awaited(tmp_path: Path) -> None:
    text = """
def pick(x):
    return a.run(x)
async def body():
    later = pick(1)
    await b.run()
    await later
"""
    assert outline(canvas(tmp_path, text)).splitlines() == ["▸ b", "┌ ƒ pick()", "│  ▸ a  x", "└"]


def test_in_mermaid_a_repeated_loop_is_left_by_its_break_alone(tmp_path: Path) -> None:
    text = mermaid(drawn(tmp_path, "while True:\n    if await a.run(): break\nawait b.run()"))
    assert "done" not in text
    (left,) = [line.split("((")[0].strip() for line in text.splitlines() if '"break"' in line]
    (after,) = [line.split("[")[0].strip() for line in text.splitlines() if '"b"' in line]
    assert f"  {left} --> {after}" in text.splitlines()


def test_a_function_that_the_file_does_not_hold_any_more_is_refused(tmp_path: Path) -> None:
    first = load(tmp_path / "flow.py", "async def body(): await a.run()\n")["body"]
    other = load(tmp_path / "other.py", "async def body(): await a.run()\n")["body"]
    with pytest.raises(SourceMissing):
        extract(other, table_of(first), kind_of=kind_of, is_context=is_context)


def test_in_mermaid_a_return_of_a_helper_goes_on_behind_it(tmp_path: Path) -> None:
    text = "async def body(xs, ctx):\n    await helper(xs)\n    await b.run()\n\n"
    text += "async def helper(xs):\n    if xs: return 1\n    await a.run()\n    return 2\n"
    chart = mermaid(canvas(tmp_path, text))
    names = {
        label: name for name, label in re.findall(r'^ +(n\d+)\W+"?([\w ()]+)"?\W*$', chart, re.MULTILINE)
    }
    assert f"{names['return']} --> {names['b']}" in chart
    assert f"{names['a']} --> {names['b']}" in chart


def test_in_mermaid_what_a_block_hides_may_leave_the_loop(tmp_path: Path) -> None:
    body = "while True:\n    async with asyncio.TaskGroup() as tg:\n        try: tg.create_task(a.run()); break\n"
    chart = mermaid(drawn(tmp_path, f"{body}        finally: pass\nawait b.run()"))
    name, *_ = re.findall(r'^ +(n\d+)\["b"\]$', chart, re.MULTILINE)
    hidden, *_ = re.findall(r'^ +(n\d+)\[/"KSL103', chart, re.MULTILINE)
    assert f"{hidden} --> {name}" in chart


def test_mermaid_says_every_step_and_keeps_its_syntax_clear_of_labels(tmp_path: Path) -> None:
    body = """
        if xs == '"#<b>':
            await a.run()
        for x in xs:
            await b.run()
        await asyncio.gather(a.run(), ctx.hook())
        try:
            await w.run()
        except ValueError:
            raise
        finally:
            await ctx.sleep(1)
    """
    text = mermaid(drawn(tmp_path, body))
    for id in ("a", "b", "a~2", "hook", "w", "sleep"):
        assert f'"{id}"' in text
    assert "if" not in text.split()
    assert "#quot;#35;#lt;b#gt;" in text
    assert text.count("subgraph") == text.count("\n  end") + text.count("\n    end")


def test_a_decision_keeps_the_lane_that_passes_through(tmp_path: Path) -> None:
    (choice,) = [
        block for block in walk(drawn(tmp_path, "if xs: return").blocks) if isinstance(block, Decision)
    ]
    assert [(lane.label, len(lane.blocks)) for lane in choice.lanes] == [("xs", 1), ("else", 0)]
