"""Every way to write a step call finds its own site when it runs, and what hides the call finds none.

Each call passes a constant of its own as first argument; the call that the table names must hold it.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import Any, cast

import pytest
from _pytest.assertion.rewrite import rewrite_asserts

from tests.unit.build.stand_in import Call, Ctx, Step, call_at, load, table_of

PRELUDE = """\
import asyncio, contextlib, functools
def passing(function):
    @functools.wraps(function)
    async def around(*args):
        return await function(*args)
    return around
async def one(x):
    return await a.run(901, x)
async def two(x):
    await b.run(902)
    return await one(x)
@passing
async def decorated_helper():
    return await a.run(903)
"""

SHAPES = {
    "two calls on one line": "await a.run(1); await a.run(2)",
    "two calls in one expression": "x, y = await a.run(1), await a.run(2)",
    "literal arguments of gather": "await asyncio.gather(a.run(1), a.run(2), b.run(3))",
    "a starred literal in gather": "await asyncio.gather(*[a.run(1), b.run(2)])",
    "nested gathers": "await asyncio.gather(asyncio.gather(a.run(1), b.run(2)), a.run(3))",
    "stored calls": "x = a.run(1); y = a.run(2)\nawait asyncio.gather(x, y)",
    "a task group": "async with asyncio.TaskGroup() as t: t.create_task(a.run(1)); t.create_task(b.run(2))",
    "a list comprehension": "[await a.run(1, x) for x in (5, 6) if await b.run(2)]",
    "a comprehension over a step": "[x for x in str(await a.run(1)) for y in str(await b.run(2))]",
    "a set comprehension": "{await a.run(1, x) for x in (5, 6)}",
    "a dict comprehension": "{await a.run(1): await a.run(2) for x in (5, 6)}",
    "a generator expression": "await asyncio.gather(*(a.run(1, x) for x in (5, 6)))",
    "try, except, else, finally": """\
        for fail in (True, False):
            try:
                await a.run(1)
                if fail: raise ValueError(await a.run(2))
            except ValueError:
                await a.run(3)
            else:
                await a.run(4)
            finally:
                await a.run(5)""",
    "finally left by return": """\
        async def inner(early):
            try:
                if early: return await a.run(1)
                await a.run(2)
            finally:
                await a.run(3); await b.run(4)
        await inner(True); await inner(False)""",
    "except*": "try:\n    raise ExceptionGroup('', [ValueError()])\nexcept* ValueError:\n    await a.run(1)",
    "with": "n = contextlib.nullcontext\nwith n(await a.run(1)), n(await a.run(2)):\n    await a.run(3)",
    "async with": "async with asyncio.Lock():\n    await a.run(1)",
    "for with else": "for x in (1, 2):\n    await a.run(1)\nelse:\n    await a.run(2)",
    "while with else": "n = 0\nwhile n < 2 and await a.run(1): n += await a.run(2)\nelse: await a.run(3)",
    "a helper": "await one(await a.run(1)); await one(2)",
    "a helper behind a helper": "await two(1)",
    "a decorated helper": "await decorated_helper()",
    "a nested function": "async def inner(x=a.run(1)): return await a.run(2)\nawait inner(); await inner()",
    "a function in a nested function": """\
        async def outer():
            async def inner(): return await a.run(1)
            await inner(); return await a.run(2)
        await outer()""",
    "a lambda": "f = lambda: a.run(1); await f(); await (lambda: a.run(2))()",
    "a method": "class C:\n    async def m(self): return await a.run(1)\n    x = a.run(2)\nawait C().m()",
    "a pinned scope": "await a.scope('user').run(1); await a.scope('project').run(2)",
    "a chain over several lines": "await (\n  a\n  .scope('user')\n  .run(1)\n)\nawait (a\n  .run(\n2))",
    "arguments over several lines": "await a.run(\n    1,\n    # a comment\n    await b.run(\n  2,\n  ),\n)",
    "a step in a step's arguments": "await a.run(1, await b.run(2), c=await a.run(3))",
    "the same call thrice nested": "await a.run(1, await a.run(2, await a.run(3)))",
    "an argument of a plain call": "len(str(await a.run(1))); print(await a.run(2), end='')",
    "an f-string": "f'{await a.run(1)} and {await a.run(2)!r:>{await b.run(3)}}'",
    "a line that is not ASCII": "é = 'ñandú 🦜', await a.run(1), '→', await a.run(2)",
    "a ternary": "await a.run(1) if await b.run(2) else await b.run(0)\nawait (a.run(3) if 0 else a.run(4))",
    "and, or, not": "(await a.run(1) and await a.run(2)) or not await a.run(3)",
    "a walrus": "if (x := await a.run(1)) and (y := await b.run(2)): await a.run(3)",
    "elif": "if not await a.run(1): pass\nelif (await a.run(2)) == 2: await a.run(3)",
    "keywords from a dict": "await a.run(**{'tag': 1}); await a.run(*[2], **{'k': 3})",
    "a far column": "x = '" + "é" * 300 + "'; await a.run(1); await a.run(2)",
    "match": """\
        match await a.run(1):
            case 1 if await a.run(2): await a.run(3)
            case _: pass""",
    "assert": "assert (await a.run(1)) == 1, 'no'; assert await a.run(2)",
    "a subscript, an attribute": "[0, 1][await a.run(1)]; (await a.run(2)).real; 0 < await a.run(3)",
    "augmented and annotated assignment": "x = 0; x += await a.run(1); y: int = await a.run(2)",
    "a dict, a set, a slice": "{'k': await a.run(1)}; {await a.run(2)}; 'xyz'[await a.run(3):await b.run(4)]",
    "return": "return [await a.run(1), await b.run(2)]",
    "raise": "try: raise ValueError(await a.run(1)) from ValueError(await a.run(2))\nexcept ValueError: pass",
    "a wait": "h = ctx.hook(1); await ctx.sleep(2); await asyncio.gather(ctx.sleep(3), h)",
    "a wait in a nested function": "async def inner(): await ctx.sleep(1)\nawait inner()",
    "an agent and a sub-workflow": "await g.prompt(1); await w.run(2)",
    "a receiver known only at run time": "z = a; await z.run(1); await {'k': b}['k'].run(2)",
    "asyncio.wait": "await asyncio.wait([asyncio.ensure_future(a.run(1)), asyncio.ensure_future(a.run(2))])",
    "a statement after a backslash": "x = \\\n    await \\\n    a.run(1)",
    "semicolons and a deep indent": "if 1:\n              x = 1; await a.run(1); y = 2; await a.run(2)",
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_call_found_in_the_source_holds_the_argument_received(shape: str, tmp_path: Path) -> None:
    space = load(tmp_path / "flow.py", PRELUDE + body(SHAPES[shape]))
    await check(space)


@pytest.mark.parametrize("shape", ["assert", "two calls on one line", "a helper"])
async def test_positions_survive_pytests_rewriting_of_asserts(shape: str, tmp_path: Path) -> None:
    text = PRELUDE + body(SHAPES[shape])
    space = load(tmp_path / "flow.py", text)
    tree = ast.parse(text)
    rewrite_asserts(tree, text.encode())
    exec(compile(tree, str(tmp_path / "flow.py"), "exec"), space)
    await check(space)


async def test_a_decorated_workflow_is_looked_up_in_the_function_that_was_decorated(tmp_path: Path) -> None:
    space = load(tmp_path / "flow.py", PRELUDE + "@passing\n" + body("await a.run(1); await one(2)"))
    await check(space)


REFUSED = {
    "partial": "await functools.partial(a.run, 1)()",
    "map": "for x in map(a.run, [1]): await x",
    "map in a list": "list(map(a.run, [1]))",
    "an alias of run": "r = a.run; await r(1)",
    "getattr": "await getattr(a, 'run')(1)",
    "map unpacked in another step's arguments": "await b.run(0, *map(a.run, [1, 2]))",
    "a step's method as a key function": "sorted([1], key=a.run)",
    "a helper from another file": "await far(1)",
    "a context that hides": "c = ctx; await c.sleep(1)",
}


@pytest.mark.parametrize("shape", REFUSED)
async def test_a_call_that_the_source_does_not_show_has_no_site(shape: str, tmp_path: Path) -> None:
    far = load(tmp_path / "far.py", "async def far(x): return await a.run(x)")
    space = load(tmp_path / "flow.py", PRELUDE + body(REFUSED[shape]), far=far["far"], a=far["a"])
    space["calls"] = far["calls"]
    await space["body"](Ctx(space["calls"]))

    table = table_of(space["body"])
    hidden = [call for call in space["calls"] if call[0] != 0]
    assert hidden
    assert [table.find(code, lasti) for _, code, lasti in hidden] == [None] * len(hidden)


async def test_a_function_that_the_workflow_does_not_reach_has_no_sites(tmp_path: Path) -> None:
    space = load(tmp_path / "flow.py", PRELUDE + body("await a.run(1)"))
    await space["one"](1)
    _, code, lasti = space["calls"][0]
    assert table_of(space["body"]).find(code, lasti) is None


async def test_a_site_once_found_is_found_again_through_the_cache_alone(tmp_path: Path) -> None:
    space = load(tmp_path / "flow.py", body("await a.run(1)"))
    await space["body"](Ctx())
    table = table_of(space["body"])
    _, code, lasti = space["calls"][0]
    site = table.find(code, lasti)
    assert table.cache == {id(code): {lasti: site}}
    assert table.find(code, lasti) is site


async def test_a_code_object_in_the_cache_outlives_its_function(tmp_path: Path) -> None:
    import gc
    import weakref

    space = load(tmp_path / "flow.py", body("await a.run(1)"))
    await space["body"](Ctx())
    table = table_of(space["body"])
    _, code, lasti = space["calls"].pop()
    table.find(code, lasti)
    kept = weakref.ref(code)
    del space, code
    gc.collect()
    assert kept() is not None


def body(text: str) -> str:
    return "async def body(ctx: Context):\n" + textwrap.indent(textwrap.dedent(text), "    ") + "\n"


async def check(space: dict[str, Any]) -> None:
    table = table_of(space["body"])
    for _ in ("the first time", "from the cache"):
        calls: list[Call] = space["calls"]
        calls.clear()
        await space["body"](Ctx(calls))
        assert calls
        for received, code, lasti in calls:
            node = call_at(table, code, lasti)
            assert node is not None, f"no site for the call that received {received}"
            assert first_argument(node) == received
            site = table.find(code, lasti)
            assert site is not None
            assert site.function == code.co_qualname
    assert isinstance(space["a"], Step)


def first_argument(node: ast.Call) -> object:
    first = node.args[0] if node.args else node.keywords[0].value
    match first:
        case ast.Starred(value=ast.List(elts=[value, *_])) | ast.Dict(values=[value, *_]) | value:
            return cast("ast.Constant", value).value
