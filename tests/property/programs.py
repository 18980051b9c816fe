"""Random workflow programs as source text: what an author may write, in any nesting, from a seed.

Values are small integers. A *steady* program gives the same result in whatever order its steps end; one that is
not may let the first of several win, time out, or cancel. Every site that makes a step is one a person could
have written, so the text also goes through discovery and its site tables.
"""

from __future__ import annotations

from random import Random

KIT = '''
from ksl import ActionContext, Retry, action

stage = None


@action
async def act(ctx: ActionContext, v: int) -> int:
    await stage.perform(ctx)
    return (v * 5 + 3) % 97


@action
async def fails(ctx: ActionContext, v: int) -> int:
    await stage.perform(ctx)
    raise ValueError(f"{v} is refused")


@action(retry=Retry(attempts=3, initial="200ms", jitter=False))
async def flaky(ctx: ActionContext, v: int) -> int:
    await stage.perform(ctx)
    if ctx.attempt < 2 + v % 2:
        raise ValueError("not yet")
    return (v + 11) % 97


@action
async def second(ctx: ActionContext, v: int) -> int:
    """Fails in its first attempt and has no retries of its own: the run's retry has to help."""
    await stage.perform(ctx)
    if ctx.attempt < 2:
        raise ValueError("the first attempt fails")
    return (v + 7) % 97
'''
HEAD = """
import asyncio

from ksl import Context, HookTimeout, Retry, StepFailed, as_completed, bounded, workflow

from actions.kit import act, fails, flaky, second
"""

STEADY = ("act", "act", "if", "loop", "gather", "gather_steps", "group", "wait_all", "caught", "flaky", "second",
          "sleep", "body_sleep", "hook", "sub", "bounded", "bounded_branches", "semaphore", "as_completed", "cleanup",
          "now")  # fmt: skip
RACY = (
    "queue",
    "first",
    "timeout",
    "wait_for",
    "cancel",
    "last_completed",
    "hook_timeout",
    "group_fails",
    "return_exceptions",
)
BRANCHING = ("gather", "group", "semaphore", "bounded_branches", "queue", "cancel", "group_fails")


def program(seed: int, slug: str, *, steady: bool) -> str:
    return _Writer(Random(seed), slug, steady=steady).text()


class _Writer:
    def __init__(self, rng: Random, slug: str, *, steady: bool) -> None:
        self.rng = rng
        self.slug = slug
        self.kinds = STEADY if steady else STEADY + RACY * 3
        self.definitions: list[str] = []
        self.count = 0

    def text(self) -> str:
        body = self.block(depth=0, length=self.rng.randint(2, 5))
        main = [
            f'@workflow(slug="{self.slug}", retry=Retry(attempts=99, initial="300ms", factor=1.0, jitter=False))',
            "async def main(input: int, ctx: Context) -> int:",
            "    x = input",
            *body,
            "    return x",
        ]
        return "\n".join([HEAD, *self.definitions, "", "", *main, ""])

    def block(self, *, depth: int, length: int, indent: str = "    ") -> list[str]:
        lines: list[str] = []
        for _ in range(length):
            kinds = [
                kind for kind in self.kinds if depth < 2 or kind not in (*BRANCHING, "sub", "if", "loop")
            ]
            lines += [indent + line for line in self.statement(self.rng.choice(kinds), depth)]
        return lines

    def statement(self, kind: str, depth: int) -> list[str]:
        rng, n = self.rng, self.rng.randint(2, 4)
        k = rng.randint(0, 9)
        match kind:
            case "act":
                return [f"x = await act.run(v=x + {k})"]
            case "if":
                inside = self.block(depth=depth + 1, length=rng.randint(1, 2))
                other = self.block(depth=depth + 1, length=1)
                return [f"if (await act.run(v=x)) % 2 == {k % 2}:", *inside, "else:", *other]
            case "loop":
                return [f"for i in range({n}):", *self.block(depth=depth + 1, length=rng.randint(1, 2))]
            case "gather":
                calls = ", ".join(f"{self.helper(depth)}(x + {i}, ctx)" for i in range(n))
                return [f"x = sum(await asyncio.gather({calls})) % 97"]
            case "gather_steps":
                return ["x = sum(await asyncio.gather(act.run(v=x), act.run(v=x + 1), flaky.run(v=x))) % 97"]
            case "group":
                first, other = self.helper(depth), self.helper(depth)
                return [
                    "async with asyncio.TaskGroup() as group:",
                    f"    tasks = [group.create_task({first}(x + i, ctx)) for i in range({n})]",
                    f"    tasks += [group.create_task({other}(x, ctx)), group.create_task(act.run(v=x))]",
                    "x = sum(task.result() for task in tasks) % 97",
                ]
            case "wait_all":
                when = rng.choice(("FIRST_COMPLETED", "ALL_COMPLETED"))
                return [
                    "calls = [act.run(v=x), act.run(v=x + 1), act.run(v=x + 2)]",
                    f"done, pending = await asyncio.wait(calls, return_when=asyncio.{when})",
                    "x = (sum(call.result() for call in done) + sum([await call for call in pending])) % 97",
                ]
            case "caught":
                return [
                    "try:",
                    "    x = await fails.run(v=x)",
                    "except StepFailed as failure:",
                    f"    x = (x + failure.attempts + {k}) % 97",
                    "    x = await act.run(v=x)" if k % 2 else "    x += 1",
                ]
            case "flaky":
                return [f"x = await flaky.run(v=x + {k})"]
            case "second":
                return [f"x = await second.run(v=x + {k})"]
            case "sleep":
                return [f'await ctx.sleep("{rng.choice((1, 300, 900))}ms")']
            case "body_sleep":
                return [f"await asyncio.sleep({rng.choice((0, 0.001, 0.4))})"]
            case "hook":
                wanted = ['hook = ctx.hook(title="how many?")', f"x = (await act.run(v=x)) + {k}"][
                    : 1 + k % 2
                ]
                return [*wanted, "x = (x + await hook) % 97"]
            case "sub":
                return [f"x = await {self.sub(depth)}.run(x)"]
            case "bounded":
                return [f"x = sum(await bounded({n - 1}, [act.run(v=x + i) for i in range({n + 1})])) % 97"]
            case "bounded_branches":
                helper = self.helper(depth)
                return [f"x = sum(await bounded(2, [{helper}(x + i, ctx) for i in range({n})])) % 97"]
            case "semaphore":
                name = self.helper(depth)
                guarded = f"guarded_{name}"
                self.definitions += [
                    "",
                    "",
                    f"async def {guarded}(limit: asyncio.Semaphore, x: int, ctx: Context) -> int:",
                    "    async with limit:",
                    f"        return await {name}(x, ctx)",
                ]
                return [
                    "limit = asyncio.Semaphore(2)",
                    f"x = sum(await asyncio.gather(*[{guarded}(limit, x + i, ctx) for i in range({n})])) % 97",
                ]
            case "as_completed":
                return [
                    "total = 0",
                    f"async for each in as_completed([act.run(v=x + i) for i in range({n})]):",
                    "    total += each",
                    "x = total % 97",
                ]
            case "cleanup":
                return ["try:", "    x = await act.run(v=x)", "finally:", "    await act.run(v=1)"]
            case "now":
                return ["if ctx.now().year < 2000:", "    x = await fails.run(v=x)"]
            case "queue":
                helper = self.helper(depth)
                worker = f"worker_{helper}"
                self.definitions += [
                    "",
                    "",
                    f"async def {worker}(queue: asyncio.Queue[int], done: list[int], ctx: Context) -> None:",
                    "    while not queue.empty():",
                    "        done += [await act.run(v=queue.get_nowait())]",
                ]
                return [
                    "queue, done = asyncio.Queue(), []",
                    f"for i in range({n + 1}):",
                    "    queue.put_nowait(x)",
                    f"await asyncio.gather({worker}(queue, done, ctx), {worker}(queue, done, ctx))",
                    "x = sum(done) % 97",
                ]
            case "first":
                return [
                    f"calls = [act.run(v=x + i) for i in range({n})]",
                    "done, pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)",
                    "for call in pending:",
                    "    call.cancel()",
                    "x = sum(call.result() for call in done) % 97",
                ]
            case "timeout":
                return [
                    "try:",
                    f"    async with asyncio.timeout({rng.choice((0.1, 0.5))}):",
                    *self.block(depth=depth + 1, length=2, indent="        "),
                    "except TimeoutError:",
                    "    x = await act.run(v=x + 50)",
                ]
            case "wait_for":
                return [
                    "try:",
                    f"    x = await asyncio.wait_for(act.run(v=x), {rng.choice((0.1, 0.5))})",
                    "except TimeoutError:",
                    "    x += 1",
                ]
            case "cancel":
                return [
                    f"task = asyncio.create_task({self.helper(depth)}(x, ctx))",
                    "x = await act.run(v=x)",
                    "task.cancel()",
                    "try:",
                    "    x = (x + await task) % 97",
                    "except asyncio.CancelledError:",
                    f"    x = await act.run(v=x + {k})",
                ]
            case "last_completed":
                return [f"async for x in as_completed([act.run(v=x + i) for i in range({n})]):", "    pass"]
            case "hook_timeout":
                return [
                    "try:",
                    f'    x = (x + await ctx.hook(timeout="{rng.choice((100, 600))}ms")) % 97',
                    "except HookTimeout:",
                    "    x = await act.run(v=x)",
                ]
            case "group_fails":
                return [
                    "try:",
                    "    async with asyncio.TaskGroup() as group:",
                    f"        group.create_task({self.helper(depth)}(x, ctx))",
                    "        group.create_task(fails.run(v=x))",
                    "except* StepFailed:",
                    "    x += 1",
                ]
            case "return_exceptions":
                return [
                    "got = await asyncio.gather(act.run(v=x), fails.run(v=x), second.run(v=x), return_exceptions=True)",
                    "x = sum(each if isinstance(each, int) else 1 for each in got) % 97",
                ]
            case _:
                raise AssertionError(kind)

    def helper(self, depth: int) -> str:
        """A coroutine of the same file with steps of its own."""
        self.count += 1
        name = f"h{self.count}"
        body = self.block(depth=depth + 1, length=self.rng.randint(1, 3))
        self.definitions += ["", "", f"async def {name}(x: int, ctx: Context) -> int:", *body, "    return x"]
        return name

    def sub(self, depth: int) -> str:
        self.count += 1
        name = f"s{self.count}"
        body = self.block(depth=depth + 1, length=self.rng.randint(1, 3))
        self.definitions += [
            "",
            "",
            f'@workflow(slug="{self.slug}-{name}")',
            f"async def {name}(input: int, ctx: Context) -> int:",
            "    x = input",
            *body,
            "    return x",
        ]
        return name
