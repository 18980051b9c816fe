"""Shapes that are easily mistaken, each with the codes it must give in a workflow's function."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.build.rules.project import checked

HEAD = """
import asyncio
import functools

from actions.desk import archive, audit, charge, notify
from actions import desk
from pydantic import BaseModel

from ksl import Context, as_completed, bounded, workflow


class Order(BaseModel):
    ids: list[int] = []
    flag: bool = True


@workflow
async def flow(input: Order, ctx: Context):
    xs, c = input.ids, input.flag
"""

BODIES = {
    "x = charge.run(amount=1); y = audit.run(); await asyncio.gather(x, y)": "",
    "ts = [charge.run(amount=i) for i in xs]; await asyncio.gather(*ts)": "KSL103",
    "await asyncio.gather(*[charge.run(amount=1), audit.run()])": "",
    "await asyncio.gather(*[charge.run(amount=i) for i in xs])": "KSL103",
    "await asyncio.gather(*(charge.run(amount=i) for i in xs))": "KSL103",
    "await asyncio.gather(asyncio.gather(charge.run(amount=1), audit.run()), audit.run())": "",
    "await asyncio.gather(helper(1), audit.run())\n\nasync def helper(n: int):\n    await charge.run(amount=n)": "",
    "await asyncio.gather((lambda: audit.run())(), charge.run(amount=1))": "KSL004",
    "async with asyncio.TaskGroup() as t:\n        t.create_task(audit.run())\n        t.create_task(audit.run())": "",
    "async with asyncio.TaskGroup() as tg:\n        for i in xs: tg.create_task(charge.run(amount=i))": "KSL103",
    "t = asyncio.create_task(charge.run(amount=1)); await audit.run(); await t": "KSL008",
    "asyncio.create_task(audit.run())": "KSL008",
    "asyncio.get_running_loop().create_task(audit.run())": "KSL008",
    "loop = asyncio.get_running_loop(); loop.create_task(audit.run())": "KSL008",
    "if (r := await audit.run()).ok: await notify.run(text='x')": "",
    "if c: pass\n    elif (await audit.run()).ok: pass": "",
    "s = f'{await charge.run(amount=1)} {await charge.run(amount=2)}'": "",
    "print(f'{await charge.run(amount=1)}')": "KSL002",
    "n = len(await archive.run(text='a'))": "KSL002",
    "o = Order(**(await audit.run()).model_dump())": "KSL002",
    "xs.append(await charge.run(amount=1))": "KSL002",
    "await (charge.run(amount=1) if c else audit.run())": "KSL105",
    "x = await charge.run(amount=1) if c else await audit.run()": "KSL105",
    "c and await audit.run()": "KSL105",
    "def default(x=audit.run()): ...": "KSL004",
    "from actions.desk import archive as z\n    await z.run(text='a')": "",
    "await desk.charge.run(amount=1)": "",
    "async with asyncio.timeout(5): await ctx.hook()": "",
    "while True:\n        r = await audit.run()\n        if r.ok: break": "",
    "for i in xs:\n        await charge.run(amount=i)\n    else:\n        await audit.run()": "",
    "try: await audit.run()\n    except* ValueError: await notify.run(text='x')": "",
    "p = functools.partial(charge.run, amount=1)": "KSL005",
    "p = map(charge.run, xs)": "KSL005",
    "r = charge.run; await r(amount=1)": "KSL005",
    "r = getattr(charge, 'run')": "KSL005",
    "charge.run(amount=1)": "KSL003",
    "t = charge.run(amount=1)": "KSL003",
    "t = charge.run(amount=1); return t.id": "KSL003",
    "t = charge.run(amount=1)\n    for each in t: print(each)": "KSL003",
    "t = charge.run(amount=1); return [each for each in t]": "KSL003",
    "t = charge.run(amount=1); return t['id']": "KSL003",
    "t = charge.run(amount=1); return len(t) + sum(t)": "KSL003",
    "t = charge.run(amount=1); return t + 1": "KSL003",
    "t = charge.run(amount=1)\n    if t: await audit.run()": "KSL003",
    "t, u = charge.run(amount=1), audit.run(); await u; return len(t)": "KSL003",
    "ts = [charge.run(amount=1), audit.run()]\n    for each in ts: await each": "KSL103",
    "ts = (charge.run(amount=1), audit.run()); await ts[0]; await ts[1]": "KSL103",
    "t = charge.run(amount=1); u = audit.run(); await bounded(2, list((t, u)))": "KSL103 KSL103",
    "t = charge.run(amount=1); t = await t; return [each for each in t]": "KSL103",
    "h = ctx.hook(); return h['id']": "KSL003",
    "h = ctx.hook(); await notify.run(text=h.url); await h": "",
    "h = ctx.hook(); await notify.run(text=h.url)": "",
    "ctx.hook()": "KSL003",
    "ctx.sleep('1s')": "KSL003",
    "x, y = await audit.run(), await audit.run()": "",
    "x = {'a': await audit.run()}": "",
    "assert (await audit.run()).ok": "",
    "return (await archive.run(text='x'))[0].strip()": "",
    "f = lambda: audit.run()": "KSL004",
    "class C:\n        async def m(self): await audit.run()": "KSL004",
    "await two(); await two()\n\nasync def two():\n    await audit.run()": "KSL101 KSL101",
    "await two()\n\nasync def two():\n    await audit.run()\n    await two()": "KSL101 KSL101",
    "await two(ctx)\n\nasync def two(ctx):\n    await ctx.sleep(1)": "",
    "await two(ctx)\n\nasync def two(c):\n    await c.sleep(1)": "KSL007",
    "await two(c=ctx)\n\nasync def two(*, c):\n    h = c.hook()\n    await h": "KSL007",
    "await two(1, ctx)\n\nasync def two(n, c):\n    await audit.run()\n    return c.now()": "",
    "await two(ctx)\n\nasync def two(c: Context):\n    await c.sleep(1)": "",
    "eval('audit.run()')": "KSL107",
    "await charge.run(amount=ctx)": "KSL007",
    "keep = ctx": "KSL007",
    "ys = [await charge.run(amount=i) for i in xs]": "KSL102",
    "ys = await bounded(3, [charge.run(amount=i) for i in xs])": "",
    "async for r in as_completed([charge.run(amount=i) for i in xs]): pass": "",
    "await charge.run(**{'amount': 1})": "KSL104",
    "await charge.run(*xs)": "KSL104",
    "match c:\n        case True if (await audit.run()).ok: pass": "KSL106",
    "await {'a': audit}['a'].run()": "KSL107",
    "await getattr(desk, 'audit').run()": "KSL107",
    "r = await (await audit.run()).next.run()": "KSL107",
    "for r in await asyncio.wait([audit.run()]): pass": "KSL113",
    "async with open_it() as f: await audit.run()\n\nfrom contextlib import asynccontextmanager as open_it": "KSL110",
    "async for x in xs: await audit.run()": "KSL108",
    "try: await audit.run()\n    finally: return 1": "KSL109",
    "for x in set(xs): await charge.run(amount=x)": "KSL115",
    "for x in sorted(set(xs)): await charge.run(amount=x)": "",
    "for x in {1, 2}: print(x)": "",
    "import time; time.time()": "KSL114",
    "ctx.now(); ctx.random().random(); ctx.uuid()": "",
    "hash('a')": "KSL116",
    "await charge(amount=1)": "KSL118",
    "z = audit\n    await z.run()": "KSL107",
    "await asyncio.gather(*[one(i) for i in xs])\n\nasync def one(n: int):\n    await charge.run(amount=n)": "KSL103",
    "ys = [await one(i) for i in xs]\n\nasync def one(n: int):\n    await charge.run(amount=n)": "KSL102",
    "ys = await bounded(2, [one(i) for i in xs])\n\nasync def one(n: int):\n    await charge.run(amount=n)": "",
    "n = len(await asyncio.gather(audit.run(), audit.run()))": "",
    "n = len(await asyncio.gather(audit.run(str(await audit.run())), audit.run()))": "KSL002",
    "n = len(asyncio.gather(audit.run(), audit.run()))": "KSL002 KSL002",
    "return 1\n    await audit.run()": "KSL006",
    "raise ValueError\n    charge.run(amount=1)": "KSL003",
    "while True: await audit.run()\n    await audit.run()": "KSL006",
    "if c: return 1\n    else: raise ValueError\n    for i in xs: await charge.run(amount=i)": "KSL006",
    "while True:\n        await audit.run()\n        for x in xs: pass\n        else: break\n    await audit.run()": "",
    "for x in xs: await audit.run()\n    else: return 1\n    await audit.run()": "KSL006",
    "async with asyncio.timeout(5): return await audit.run()\n    await audit.run()": "KSL006",
    "x = await audit.run() < c < await audit.run()": "KSL105",
    "async with asyncio.TaskGroup() as t: xs.append(t.create_task(audit.run()))": "",
    "async with asyncio.TaskGroup() as t:\n        try: t.create_task(audit.run())\n        finally: pass": "KSL103",
    "async with asyncio.TaskGroup() as t:\n        if c: await audit.run(); t.create_task(audit.run())": "KSL103",
    "one(1)\n\nasync def one(n: int):\n    await charge.run(amount=n)": "KSL003",
    "t = one(1)\n\nasync def one(n: int):\n    await charge.run(amount=n)": "KSL003",
    "print(await one(1))\n\nasync def one(n: int):\n    await charge.run(amount=n)": "KSL002",
    "await asyncio.shield(one(1))\n\nasync def one(n: int):\n    await charge.run(amount=n)": "",
    "f = one; await f(1)\n\nasync def one(n: int):\n    await charge.run(amount=n)": "KSL005",
    "xs[0] = charge.run(amount=1); await xs[0]": "KSL003",
    "x = charge.run(amount=1); y = x; await y": "KSL103",
    "await some(1)\n\n@functools.cache\ndef some(n: int):\n    return charge.run(amount=n)": "KSL101",
    "try: await audit.run()\n    finally: await notify.run(text='x')": "KSL112",
    "try: await audit.run()\n    finally:\n        try: await audit.run()\n        except ValueError: pass": "KSL112",
    "try: await audit.run()\n    except: pass": "KSL011",
    "try: await audit.run()\n    except (ValueError, BaseException): pass": "KSL011",
    "try: await audit.run()\n    except asyncio.CancelledError:\n        raise": "",
    "try: await audit.run()\n    except BaseException as e:\n        raise e": "",
    "try: x = 1\n    except BaseException: pass": "",
}


@pytest.mark.parametrize("body", BODIES)
def test_a_snippet_gives_its_codes(body: str, tmp_path: Path) -> None:
    found = checked(tmp_path, f"{HEAD}    {body}\n")
    assert [each.code for each in found] == BODIES[body].split()
