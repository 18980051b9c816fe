"""Values are JSON by their annotation: the same live and replayed, and what cannot be stored is refused at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ksl.errors import BadJson, InvalidInput, KslError, PayloadTooLarge

from tests.engine_fixture import World

TYPES: dict[str, tuple[str, str]] = {
    "a datetime": ("datetime.datetime", "datetime.datetime(2025, 1, 2, 3, 4, 5, 6, datetime.timezone.utc)"),
    "a date": ("datetime.date", "datetime.date(2025, 1, 2)"),
    "a timedelta": ("datetime.timedelta", "datetime.timedelta(days=1, microseconds=3)"),
    "a UUID": ("uuid.UUID", "uuid.UUID(int=7)"),
    "a Decimal": ("decimal.Decimal", "decimal.Decimal('1.10')"),
    "bytes": ("bytes", "'gr\\u00fc\\u00df'.encode()"),
    "an Enum": ("Colour", "Colour.RED"),
    "a dataclass": ("Point", "Point(1, 2.5)"),
    "a TypedDict": ("Line", "{'sku': 'a', 'count': 2}"),
    "a model with an alias": ("Aliased", "Aliased(shownAs=3)"),
    "a discriminated union": ("Shape", "Square(kind='square', side=2)"),
    "a list of them": ("list[Point]", "[Point(1, 2.0), Point(3, 4.0)]"),
    "a mapping by number": ("dict[int, str]", "{1: 'one', 2: 'two'}"),
    "a tuple": ("tuple[int, str]", "(1, 'a')"),
    "a set": ("set[str]", "{'a', 'b', 'c'}"),
    "a frozenset in a dict": ("dict[str, frozenset[int]]", "{'x': frozenset({3, 1, 2})}"),
    "nothing": ("None", "None"),
    "an optional that is None": ("Point | None", "None"),
    "a very large integer": ("int", "2 ** 80"),
    "a small float": ("float", "1e-300"),
    "text of any kind": ("str", "'\\u00fc \\U0001f600 \\x00 \\u2028'"),
    "a literal": ("typing.Literal['a', 'b']", "'b'"),
    "a model whose field is None and may be NaN elsewhere": ("Loose", "Loose(a=None, b=1.5)"),
}
MODELS = """
import pydantic, typing_extensions

class Colour(enum.Enum):
    RED = "red"

@dataclasses.dataclass
class Point:
    x: int
    y: float

class Line(typing_extensions.TypedDict):
    sku: str
    count: int

class Aliased(pydantic.BaseModel):
    shown: int = pydantic.Field(alias="shownAs")

class Loose(pydantic.BaseModel):
    a: float | None
    b: float

class Square(pydantic.BaseModel):
    kind: typing.Literal["square"]
    side: int

class Circle(pydantic.BaseModel):
    kind: typing.Literal["circle"]
    radius: int

Shape = typing.Annotated[Square | Circle, pydantic.Field(discriminator="kind")]
"""


@pytest.mark.parametrize("name", TYPES)
async def test_a_value_goes_through_step_sub_workflow_and_hook_unchanged_live_and_replayed(
    world: World, name: str
) -> None:
    hint, value = TYPES[name]
    await world.load(f"""{MODELS}
@action
async def same(value: {hint}) -> {hint}:
    assert value == ({value}), value
    return value

@workflow
async def inner(input: {hint}) -> {hint}:
    return await same.run(input)

@workflow
async def w(ctx: Context) -> {hint}:
    value = {value}
    live = await same.run(value)
    inside = await inner.run(value)
    await ctx.sleep(1)
    got = [live, inside]
    assert got == [value, value], got
    assert [type(each) for each in got] == [type(value)] * 2, got
    return live
""")
    run = await world.run()
    assert run.status == "succeeded", run.events[-1]
    await world.crash_everywhere(run.run_id)


async def test_a_set_as_input_is_no_drift_in_a_process_that_orders_it_otherwise(world: World) -> None:
    await world.load("""
@action
async def count(names: set[str]) -> int:
    return len(names)

@workflow
async def w(ctx: Context) -> Any:
    got = await count.run({"a", "b", "c"})
    await ctx.sleep(1)
    return got
""")
    run_id = await world.start()
    await world.rest()
    await world.evict(run_id)
    for change in world.changes:
        change.events = [
            _reordered(event) if event.type == "step_completed" else event for event in change.events
        ]
    await world.restart()
    assert (await world.finish(run_id)).output == 3


def _reordered(event: Any) -> Any:
    from msgspec.structs import replace

    names = json.loads(event.input)["names"]
    return replace(event, input=json.dumps({"names": names[::-1]}).encode())


@pytest.mark.parametrize(
    ("hint", "value", "path"),
    [
        ("float", "float('nan')", "output"),
        ("Any", "float('inf')", "output"),
        ("Any", "[decimal.Decimal('NaN')]", "output[0]"),
        ("Any", "{'a': decimal.Decimal('-Infinity')}", "output.a"),
        ("Any", "{'items': [1, 2, {'name': float('nan')}]}", "output.items[2].name"),
        ("list[float]", "[1.0, float('-inf')]", "output[1]"),
        ("str", "'half \\ud800 pair'", "output"),
        ("Any", "{'a': ['\\udfff']}", "output.a[0]"),
        ("Any", "{'a': object()}", "output.a"),
        ("Any", "{'items': [1, threading.Lock()]}", "output.items[1]"),
    ],
)
async def test_what_does_not_survive_json_fails_the_step_on_its_first_pass_with_the_path(
    world: World, hint: str, value: str, path: str
) -> None:
    await world.load(f"""
@action(retry=Retry(attempts=5, initial=0))
async def odd(ctx: ActionContext) -> {hint}:
    stage.did(ctx, 0)
    return {value}

@workflow(retry=Retry(attempts=5, initial=0))
async def w() -> Any:
    return await odd.run()
""")
    run = await world.run()
    assert run.status == "failed"
    assert world.stage.steps == ["odd#0"]
    assert run.error["step"] == "odd#0"
    assert run.error["type"] == "NotEncodable"
    assert f"{path} " in run.error["message"]


@pytest.mark.parametrize("value", ["float('nan')", "'half \\ud800 pair'", "object()"])
async def test_an_input_that_cannot_be_stored_fails_the_run_and_the_step_never_runs(
    world: World, value: str
) -> None:
    await world.load(f"""
@workflow
async def w() -> Any:
    return await echo.run({value})
""")
    run = await world.run()
    assert (run.status, run.error["type"]) == ("failed", "NotEncodable")
    assert "input.value " in run.error["message"]
    assert world.stage.ledger == []
    assert "run_retrying" not in run.types


@pytest.mark.parametrize("value", ["float('nan')", "'half \\ud800 pair'", "object()"])
async def test_an_output_of_a_workflow_that_cannot_be_stored_fails_it_with_no_retry(
    world: World, value: str
) -> None:
    await world.load(f"""
@workflow
async def w() -> Any:
    return {{"deep": [{value}]}}
""")
    run = await world.run()
    assert (run.status, run.error["type"], run.error["code"]) == ("failed", "NotEncodable", "KSL406")
    assert "output.deep[0] " in run.error["message"]


async def test_an_output_that_does_not_fit_its_annotation_fails_the_run_with_no_retry(world: World) -> None:
    await world.load("""
@workflow
async def w() -> list[int]:
    return [1, "two"]
""")
    run = await world.run()
    assert (run.status, run.error["type"], run.error["code"]) == ("failed", "InvalidOutput", "KSL408")
    assert "[1]" in run.error["message"]
    assert "run_retrying" not in run.types


async def test_an_input_that_does_not_fit_creates_no_run_and_names_the_field(world: World) -> None:
    await world.load("""
@dataclasses.dataclass
class Order:
    sku: str
    count: int

@workflow
async def w(input: Order) -> Any:
    return input.count
""")
    with pytest.raises(InvalidInput) as refused:
        await world.start("w", {"sku": "a", "count": "many"})
    assert refused.value.errors[0]["loc"] == ["count"]
    assert "count" in str(refused.value)
    assert world.changes == []
    assert (await world.run("w", {"sku": "a", "count": 3})).output == 3


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"NaN",
        b"[Infinity]",
        b"\xef\xbb\xbf{}",
        b'"\\ud800"',
        b"[" * 201 + b"]" * 201,
        b"{'a': 1}",
        b"\xff",
        b"1 2",
    ],
    ids=["empty", "nan", "infinity", "mark", "surrogate", "deep", "quotes", "bytes", "two"],
)
async def test_text_that_is_no_strict_json_creates_no_run(world: World, text: bytes) -> None:
    await world.load("""
@workflow
async def w(input: Any) -> Any:
    return input
""")
    with pytest.raises(BadJson):
        await world.runtime.start("w", text)
    assert world.changes == []


async def test_a_workflow_without_input_takes_null_and_an_empty_object_only(world: World) -> None:
    await world.load("""
@workflow
async def w() -> Any:
    return 1
""")
    assert (await world.run("w", None)).output == 1
    assert (await world.run("w", {})).output == 1
    with pytest.raises(InvalidInput):
        await world.start("w", {"x": 1})


async def test_values_over_the_limit_are_refused_wherever_they_come_from(world: World) -> None:
    await world.load(
        """
@action
async def large(n: int) -> str:
    return "x" * n

@workflow
async def w(input: str) -> Any:
    if input == "result":
        await large.run(2000)
    if input == "step input":
        await echo.run("x" * 2000)
    if input == "output":
        return "x" * 2000
    if input == "fits":
        return await large.run(900)
""",
        settings='[limits]\npayload = "1KiB"\n',
    )
    for where in ("result", "step input", "output"):
        run = await world.run("w", where)
        assert (run.status, run.error["type"]) == ("failed", "PayloadTooLarge"), where
        assert "limits.payload" in run.error["message"]
        assert "run_retrying" not in run.types
    assert len((await world.run("w", "fits")).output) == 900
    created = len(world.changes)
    with pytest.raises(PayloadTooLarge):
        await world.start("w", "x" * 2000)
    assert len(world.changes) == created


async def test_a_large_hook_payload_is_refused_and_the_hook_keeps_waiting(world: World) -> None:
    await world.load(
        """
@workflow
async def w(ctx: Context) -> Any:
    return await ctx.hook()
""",
        settings='[limits]\npayload = "1KiB"\n',
    )
    run = await world.run()
    with pytest.raises(PayloadTooLarge):
        await world.answer(run.run_id, "x" * 2000)
    await world.answer(run.run_id, "small")
    assert (await world.finish(run.run_id)).output == "small"


async def test_a_repeated_idempotency_key_gives_the_first_run_and_another_input_is_refused(
    disk: World,
) -> None:
    await disk.load("""
@workflow
async def w(input: Any) -> Any:
    return input

@workflow
async def v(input: Any) -> Any:
    return input
""")
    text = b'{"a": 1, "b": 2}'
    first = await disk.runtime.start("w", text, idempotency_key="k")
    again = await disk.runtime.start("w", b'{ "a":1,"b":2 }', idempotency_key="k")
    other = await disk.runtime.start("v", text, idempotency_key="k")
    assert (first.created, again.created, other.created) == (True, False, True)
    assert again.run.run_id == first.run.run_id != other.run.run_id
    with pytest.raises(KslError) as refused:
        await disk.runtime.start("w", b"{}", idempotency_key="k")
    assert refused.value.code == "KSL430"


async def test_defaults_are_filled_in_before_the_input_is_recorded(world: World) -> None:
    await world.load("""
@action
async def greet(name: str, greeting: str = "Hello", *, marks: list[str] = ["!"]) -> str:
    marks.append("?")
    return greeting + name + "".join(marks)

@workflow
async def w() -> Any:
    return [await greet.run("A"), await greet.run("B")]
""")
    run = await world.run()
    assert run.output == ["HelloA!?", "HelloB!?"]
    assert json.loads(run.events[2].input or b"") == {"name": "A", "greeting": "Hello", "marks": ["!"]}


async def test_now_and_random_are_the_runs_own_and_differ_between_runs(world: World) -> None:
    await world.load("""
@workflow
async def w(ctx: Context) -> Any:
    return [str(ctx.uuid()), str(ctx.uuid()), ctx.run_id, ctx.workflow, ctx.attempt, ctx.trigger, str(ctx.triggered_at)]
""")
    one, two = (await world.run()).output, (await world.run()).output
    assert one[0] != one[1] != two[0] != one[0]
    assert one[2:] == ["run_1", "w", 1, "api", "2025-06-15 15:06:40+00:00"]
