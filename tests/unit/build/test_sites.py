"""Which calls are sites, what they are called, and how they are numbered."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from ksl.build.site import Site
from ksl.build.sites import SiteTable, site_table
from ksl.build.source import SourceFile
from ksl.errors import SourceMissing

from tests.unit.build.stand_in import Ctx, Step, is_context, kind_of, load, prompt_llm, table_of


@pytest.fixture
def keys(tmp_path: Path) -> Any:
    """The sites of `body` in a text, as (key or kind, function)."""

    def keys(text: str, **names: Any) -> list[str]:
        space = load(tmp_path / "flow.py", text, **names)
        return [named(site) for site in table_of(space["body"]).sites]

    return keys


def named(site: Site) -> str:
    return site.key if site.key is not None else site.key_for("?")


def test_a_callee_is_numbered_from_its_second_site_on_in_source_order(keys: Any) -> None:
    assert keys("async def body(): await a.run(); await b.run(); await a.run(); await a.run()") == [
        "a",
        "b",
        "a~2",
        "a~3",
    ]


def test_calls_to_other_callees_blank_lines_and_comments_shift_nothing(keys: Any) -> None:
    before = keys("async def body():\n    await a.run()\n    await a.run()\n")
    after = keys(
        "#\n\nasync def body():\n    await b.run()\n\n    await a.run()  #\n    await b.run(); await a.run()"
    )
    assert [key for key in after if key.startswith("a")] == before


def test_helpers_are_numbered_where_they_stand_in_the_file(keys: Any) -> None:
    text = """
async def early(): await a.run()
async def body(): await late(); await a.run(); await early()
async def late(): await a.run(); await deeper()
async def unused(): await a.run()
async def deeper(): await a.run(); await early()
"""
    assert keys(text) == ["a", "a~2", "a~3", "a~4"]


def test_a_site_says_where_it_stands(tmp_path: Path) -> None:
    space = load(
        tmp_path / "flow.py",
        "async def one(): await a.run()\nasync def body():\n    x = 'é', [a.run() for _ in [await one()]]\n",
    )
    table = table_of(space["body"], workflow="flow")
    helper, nested = table.sites
    assert (table.workflow, table.file) == ("flow", str(tmp_path / "flow.py"))
    assert helper == Site(
        key="a", kind="action", callee="a", file=table.file, line=1, col=23, end_line=1, end_col=30,
        function="one", scope="helper", ordinal=1,
    )  # fmt: skip
    assert (nested.key, nested.function, nested.scope) == ("a~2", "body.<locals>.<listcomp>", "nested")
    assert (nested.line, nested.col, nested.end_col) == (3, 15, 22)


def test_every_kind_of_step_is_told_from_what_its_name_stands_for(keys: Any, tmp_path: Path) -> None:
    text = """
llm = prompt_llm
async def body(input, context: Context):
    await a.run(); await w.run(); await g.prompt(); await llm("x")
    await context.sleep(1); await context.hook()
    await a.scope("user").run(); await context.sleep(1)
"""
    assert keys(text) == ["a", "w", "g", "prompt-llm", "sleep", "hook", "a~2", "sleep~2"]
    kinds = [site.kind for site in table_of(load(tmp_path / "flow.py", text)["body"]).sites]
    assert kinds == ["action", "workflow", "agent", "llm", "sleep", "hook", "action", "sleep"]


def test_a_name_bound_in_the_function_hides_the_global(keys: Any) -> None:
    for bound in (
        "a = b",
        "for a in []: pass",
        "with b as a: pass",
        "(a := b)",
        "[(a := x) for x in []]",
        "def a(): pass",
        "class a: pass",
        "try: pass\n    except Exception as a: pass",
        "match b:\n        case a: pass",
        "match b:\n        case [*a]: pass",
        "match b:\n        case {**a}: pass",
        "a: object = b",
        "del a",
        "import json as a\n    a = b",
    ):
        assert keys(f"async def body():\n    await a.run()\n    {bound}\n") == ["?~d1"], bound
    assert keys("async def body():\n    global a\n    await a.run(); a = b\n") == ["?~d1"]
    assert keys("async def body(a): await a.run()") == ["?~d1"]


def test_a_name_bound_in_an_inner_scope_stays_there(keys: Any) -> None:
    assert keys("async def body():\n    [a.run() for a in []]\n    await a.run()\n") == ["?~d1", "a"]
    assert keys("async def body():\n    def f(a): return a.run()\n    await a.run()\n") == ["?~d1", "a"]
    assert keys("async def body():\n    class C:\n        a = 1\n        def f(self): return a.run()\n") == [
        "a"
    ]
    assert keys("async def body():\n    class C:\n        a = b\n        x = a.run()\n") == ["?~d1"]
    assert keys("async def body():\n    global a\n    await a.run()\n") == ["a"]


def test_an_inner_function_sees_what_the_outer_one_binds(keys: Any) -> None:
    assert keys("async def body():\n    a = b\n    async def f(): await a.run()\n    await f()\n") == ["?~d1"]
    assert keys("async def body(x, c: Context):\n    async def f(): await c.sleep(1)\n    await f()\n") == [
        "sleep"
    ]


def test_a_context_is_told_by_its_annotation(keys: Any) -> None:
    for annotation in ("Context", "'Context'", "Context | None", "Annotated[Context, 1]", "missing.Context"):
        assert keys(
            f"from __future__ import annotations\nasync def body(x: {annotation}): await x.sleep(1)"
        ) == ["sleep"]
    assert keys("async def body(x: int): await x.sleep(1)") == []
    assert keys(
        "async def help(c: Context): await c.hook()\nasync def body(x, c: Context): await help(c)"
    ) == ["hook"]
    assert keys("async def help(ctx): await ctx.hook()\nasync def body(x, c: Context): await help(c)") == [
        "hook"
    ]


def test_a_receiver_that_is_surely_no_step_is_no_site(keys: Any) -> None:
    assert (
        keys("import subprocess, asyncio\nasync def body(): subprocess.run(['true']); asyncio.sleep(1)") == []
    )
    assert (
        keys("class Server:\n    def run(self): ...\nserver = Server()\nasync def body(): server.run()") == []
    )
    assert keys("async def body(): g.run(); a.prompt(); a.sleep()") == []


def test_a_receiver_known_only_at_run_time_is_a_dynamic_site_with_its_own_numbers(
    keys: Any, tmp_path: Path
) -> None:
    text = (
        "async def body(x):\n    await x.run(); await a.run(); await {}['k'].run(); await nothing.prompt()\n"
    )
    assert keys(text) == ["?~d1", "a", "?~d2", "?~d3"]
    first, *_ = table_of(load(tmp_path / "flow.py", text)["body"]).sites
    assert (first.key, first.kind, first.callee, first.key_for("charge")) == (
        None,
        "dynamic",
        None,
        "charge~d1",
    )


def test_a_static_site_keeps_its_key_whatever_is_met(tmp_path: Path) -> None:
    (site,) = table_of(load(tmp_path / "flow.py", "async def body(): await a.run()")["body"]).sites
    assert site.key_for("other") == "a"


class Acts:
    charge = Step("charge")

    @property
    def refund(self) -> Step:
        raise AssertionError("a property must not be evaluated")


class Slotted:
    __slots__ = ("charge",)

    def __init__(self) -> None:
        self.charge = Step("charge")


class Forward:
    def __getattr__(self, name: str) -> object:
        raise AssertionError("nothing may be asked of a lazy object")


def test_attribute_chains_are_followed_without_running_code(keys: Any) -> None:
    space = types.SimpleNamespace(inner=types.SimpleNamespace(charge=Step("charge")))
    text = "async def body(): await x.inner.charge.run()"
    assert keys(text, x=space) == ["charge"]
    for holder in (Acts, Acts(), Slotted()):
        assert keys("async def body(): await x.charge.run()", x=holder) == ["charge"]
    assert keys("async def body(): await x.refund.run()", x=Acts()) == ["?~d1"]
    assert keys("async def body(): await x.charge.run(); x.help()", x=Forward()) == ["?~d1"]


def test_an_import_inside_the_function_is_followed(keys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("acts_for_a_test")
    module.__dict__.update(charge=Step("charge"), prompt_llm=prompt_llm)
    monkeypatch.setitem(sys.modules, "acts_for_a_test", module)
    for line, call in (
        ("from acts_for_a_test import charge", "charge.run()"),
        ("from acts_for_a_test import charge as c", "c.scope('user').run()"),
        ("import acts_for_a_test", "acts_for_a_test.charge.run()"),
        ("import acts_for_a_test as acts", "acts.charge.run()"),
    ):
        assert keys(f"async def body():\n    {line}\n    await {call}\n") == ["charge"]
    assert keys("async def body():\n    from acts_for_a_test import prompt_llm as p\n    await p('x')\n") == [
        "prompt-llm"
    ]
    assert keys("async def body():\n    from json import dumps as tool\n    tool.run()\n") == []
    assert keys("async def body():\n    from no_such_module import x\n    await x.run()\n") == ["?~d1"]


def test_an_import_inside_the_function_is_not_carried_out_for_other_calls(
    keys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heavy_for_a_test.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert keys(
        "async def body():\n    import heavy_for_a_test\n    heavy_for_a_test.plot()\n    await a.run()\n"
    ) == ["a"]
    assert "heavy_for_a_test" not in sys.modules


def test_workflows_and_actions_called_by_name_are_no_helpers(keys: Any) -> None:
    text = "w2 = w\nasync def body(): await w2.run(); await a.run(); await a()\n"
    assert keys(text) == ["w", "a"]


def test_helpers_are_found_behind_aliases_and_decorators(keys: Any) -> None:
    text = """
def hiding(function):
    async def around(): return await function()
    return around
@hiding
async def hidden(): await a.run()
async def plain(): await b.run()
alias = plain
async def body(): await hidden(); await alias()
"""
    assert keys(text) == ["a", "b"]


def test_a_helper_hidden_by_a_decorator_from_elsewhere_is_found_by_its_name(keys: Any) -> None:
    def opaque(function: Any) -> Any:
        def around() -> Any:
            return function()

        return around

    assert keys(
        "@opaque\nasync def help(): await a.run()\nasync def body(): await help()", opaque=opaque
    ) == ["a"]


def test_recursion_and_helpers_that_call_each_other_end(keys: Any) -> None:
    text = "async def x(): await a.run(); await y()\nasync def y(): await x()\nasync def body(): await x()"
    assert keys(text) == ["a"]


def test_a_workflow_made_in_a_function_resolves_what_it_closes_over(keys: Any) -> None:
    text = """
def make(step):
    async def help(): await step.run()
    async def body():
        await help()
        await step.run()
    return body
body = make(a)
"""
    assert keys(text) == ["a", "a~2"]


def test_several_workflows_of_a_file_share_its_tree_and_number_for_themselves(tmp_path: Path) -> None:
    text = """
async def help(): await a.run()
async def one(): await a.run()
async def two(): await help(); await a.run()
"""
    space = load(tmp_path / "flow.py", text)
    files: dict[str, SourceFile] = {}
    tables = [
        site_table(name, space[name], kind_of=kind_of, is_context=is_context, files=files)
        for name in ("one", "two")
    ]
    assert [[named(site) for site in table.sites] for table in tables] == [["a"], ["a", "a~2"]]
    assert tables[0].source is tables[1].source is files[str(tmp_path / "flow.py")]


def test_the_version_is_that_of_the_text(tmp_path: Path) -> None:
    def version(name: str, text: str) -> str:
        return table_of(load(tmp_path / name, text)["body"]).version

    one = version("one.py", "async def body(): await a.run()")
    assert one == version("two.py", "async def body(): await a.run()")
    assert one != version("three.py", "async def body(): await b.run()")


def test_a_function_without_source_is_refused_with_its_place() -> None:
    space: dict[str, Any] = {"a": Step("a")}
    exec("async def body(): await a.run()", space)
    with pytest.raises(SourceMissing, match=r"<string>:1 the source of body is missing"):
        table_of(space["body"])


def test_a_file_that_changed_under_its_function_is_refused(tmp_path: Path) -> None:
    space = load(tmp_path / "flow.py", "async def body(): await a.run()")
    (tmp_path / "flow.py").write_text("\n\nasync def body(): await a.run()\n")
    with pytest.raises(SourceMissing, match=r"flow.py:1 has no function body"):
        table_of(space["body"])


def test_a_callable_that_is_no_function_is_refused() -> None:
    with pytest.raises(SourceMissing, match="not a Python function"):
        table_of(len)


def test_an_instruction_that_is_no_call_has_no_site(tmp_path: Path) -> None:
    function = load(tmp_path / "flow.py", "async def body(): await a.run(1)")["body"]
    table: SiteTable = table_of(function)
    found = [
        lasti
        for lasti in range(-2, len(function.__code__.co_code), 2)
        if table.find(function.__code__, lasti)
    ]
    assert found
    assert table.find(Ctx.sleep.__code__, found[0]) is None
    assert len({site.key for lasti in found if (site := table.find(function.__code__, lasti))}) == 1
