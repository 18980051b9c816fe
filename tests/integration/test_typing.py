"""What a type checker says about a user's file, which knows ksl by its installed types alone."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

HEAD = """\
from __future__ import annotations
import asyncio
from pydantic import BaseModel, SecretStr
from ksl import ActionContext, Context, Credential, CronSource, Delivery, OAuth, PollContext, PollSource, Retry
from ksl import WebhookSource, action, bounded, workflow
class Brief(BaseModel):
    text: str
class Token(BaseModel):
    token: SecretStr
slack = Credential("slack", fields=Token)
cal = Credential("cal", oauth=OAuth("https://a.test/authorize", "https://a.test/token"))
@action(credentials=[slack, cal])
def acting(ctx: ActionContext, name: str) -> str:
    return ctx.credentials[slack].token.get_secret_value() + ctx.credentials[cal].authorization
@action
async def bare(name: str, n: int = 1) -> Brief: return Brief(text=name * n)
@action(retry=Retry(attempts=2), timeout="3s")
async def options(name: str) -> Brief: return Brief(text=name)
@action
def knowing(ctx: ActionContext, name: str) -> int: return len(name)
@action(slug="x")
def both(ctx: ActionContext, name: str) -> int: return len(name)
@workflow
async def inner(input: int) -> str: return str(input)
def told(brief: Brief, delivery: Delivery) -> int: return len(brief.text) + len(delivery.body)
source = WebhookSource("s", payload=Brief, filter=lambda brief: brief.text == "x")
source.attach(inner, transform=told).attach(inner, transform=lambda brief: brief.text)
WebhookSource("t", filter=lambda payload: payload["n"] > 1).attach(inner)
async def fetch(ctx: PollContext[Token]) -> list[Brief]: return []
def page() -> Brief | None: return None
polled = PollSource("p", "@hourly", fetch, each=True, key=lambda brief: brief.text, filter=bool, state=Token)
polled.attach(inner, transform=lambda brief: brief.text).attach(inner)
PollSource("q", "@hourly", page, filter=lambda brief: brief.text == "x").attach(inner, transform=told)
PollSource("v", "@hourly", lambda: None, payload=Brief, filter=lambda brief: brief.text == "x").attach(inner)
timed = CronSource("c", "@hourly", payload={"n": 1})
timed.attach(inner, transform=lambda payload: payload["n"] + 1)
@workflow
async def outer(ctx: Context) -> str:
"""

RIGHT = """
    a: Brief = await bare.run(name="x")
    b: Brief = await options.run(name="x")
    c: int = await knowing.run(name="x")
    d: int = await both.run(name="x")
    e: str = await inner.run(3)
    f: list[Brief] = await bounded(2, [bare.run(name="x")])
    g, h = await asyncio.gather(bare.run(name="x"), both.run(name="y"))
    async with asyncio.TaskGroup() as group:
        i = group.create_task(knowing.run(name="x"))
    j = await ctx.hook(Brief, timeout="1d")
    k: str = await acting.scope("user").run(name="x")
    return f"{a.text} {b.text} {c + d} {e} {f[0].text} {g.text} {h + i.result()} {j.text} {k}"
"""

WRONG = """
    await bare.run(name=1)
    await acting.scope("mine").run(name="x")
    Credential("x")
    ActionContext().credentials[slack].tokn
    await bare.run(nam="x")
    await bare.run()
    await options.run(name=1)
    await options.run(name="a", more=2)
    await knowing.run(name=1)
    await knowing.run(ActionContext(), name="x")
    await both.run()
    a: int = await bare.run(name="x")
    b: str = await options.run(name="x")
    c: str = await knowing.run(name="x")
    d: str = await both.run(name="x")
    e: int = await inner.run(3)
    await inner.run("x")
    f: list[int] = await bounded(2, [bare.run(name="x")])
    g: tuple[str, int] = await asyncio.gather(bare.run(name="x"), knowing.run(name="y"))
    print((await ctx.hook(Brief)).txt)
    bare.run(name="x")
    WebhookSource("s", payload=Brief, filter=lambda brief: brief.txt)
    source.attach(inner, transform=lambda brief: brief.txt)
    source.attach(inner, transform=lambda: 3)
    PollSource("p", "@hourly", fetch, each=True, key=lambda brief: brief.txt)
    PollSource("p", "@hourly", page, filter=lambda brief: brief.txt)
    polled.attach(inner, transform=lambda brief: brief.txt)
    polled.attach(inner, transform=lambda: 3)
    timed.attach(inner, transform=lambda: 3)
    return 3
"""


def test_the_package_says_that_it_is_typed():
    assert (files("ksl") / "py.typed").is_file()


def test_a_type_checker_takes_right_calls_of_steps_and_flags_each_wrong_one(tmp_path: Path):
    (tmp_path / "right.py").write_text(HEAD + RIGHT)
    (tmp_path / "wrong.py").write_text(HEAD + WRONG)
    root = Path(str(files("ksl"))).parent
    settings = {
        "typeCheckingMode": "strict",
        "reportUnusedVariable": False,
        "extraPaths": [
            str(root)
        ],  # an editable install is found by import hooks, which checkers do not follow
        "include": ["right.py", "wrong.py"],
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    found = {
        (Path(d["file"]).name, d["range"]["start"]["line"])
        for d in json.loads(done.stdout)["generalDiagnostics"]
    }
    first = HEAD.count("\n") + 1  # counted from 0, and the text begins with an empty line
    expected = {("wrong.py", first + n) for n in range(len(WRONG.strip().splitlines()))}
    assert found == expected
