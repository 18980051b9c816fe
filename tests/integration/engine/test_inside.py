"""Steps with a body of ksl's own: their steps are recorded below them, replayed, retried, cancelled like any others."""

from __future__ import annotations

from textwrap import dedent

from tests.engine_fixture import World

# `pick()` is nothing that the source tells of, so its call is a step of an unknown callee, as an agent's would be.
FLOW = dedent("""
    from ksl.define.seam import HookSpec, here, frame_at

    class Robot:
        def __init__(self, slug, body):
            self.slug = slug
            self.body = body

        def run(self):
            return here.run.inside(self.slug, b'{"message":"go"}', bytes.decode, self.body, frame_at(1))

    async def think(steps):
        said = await steps.action(echo, (), {"value": "a"}, key="turn")
        both = await asyncio.gather(
            steps.action(slow, (), {"value": "late", "rank": 2}, key="slow"),
            steps.action(slow, (), {"value": "soon", "rank": 1}, key="slow"),
        )
        again = await steps.action(echo, (), {"value": both}, key="turn")
        inner = await steps.inside("child", b"null", bytes.decode, child, key="child")
        return f"{said} {again} {inner}".encode()

    async def child(steps):
        return (await steps.action(echo, (), {"value": steps.step_id}, key="turn")).encode()

    def pick():
        return Robot("robot", think)

    @workflow
    async def w(input: None) -> str:
        return await pick().run()
""")


async def test_its_steps_are_recorded_below_it_under_the_keys_it_gives(world: World) -> None:
    await world.load(FLOW)

    done = await world.run()

    assert done.output == "a ['late', 'soon'] robot~d1#0/child#0"
    assert done.steps() == [
        "robot~d1#0/turn#0", "robot~d1#0/slow#1", "robot~d1#0/slow#0", "robot~d1#0/turn#1",
        "robot~d1#0/child#0/turn#0", "robot~d1#0/child#0", "robot~d1#0",
    ]  # fmt: skip
    ended = [event for event in done.events if event.step in ("robot~d1#0", "robot~d1#0/child#0")]
    assert {(event.meta.kind, event.meta.callee) for event in ended if event.meta} == {
        ("agent", "robot"),
        ("agent", "child"),
    }


async def test_a_crash_at_any_event_repeats_no_recorded_step(world: World) -> None:
    await world.load(FLOW)
    done = await world.run()

    await world.crash_everywhere(done.run_id)


async def test_a_failure_inside_reaches_the_author_as_that_of_the_step(world: World) -> None:
    await world.load(
        FLOW.replace(
            'said = await steps.action(echo, (), {"value": "a"}, key="turn")',
            'said = await steps.action(fail, (), {}, key="turn")',
        )
    )

    failed = await world.run()

    assert failed.status == "failed"
    assert failed.error["step"] == "robot~d1#0"
    assert failed.error["cause"]["step"] == "robot~d1#0/turn#0"


async def test_a_hook_below_it_is_answered_like_any_other(world: World) -> None:
    await world.load(
        FLOW.replace(
            'return (await steps.action(echo, (), {"value": steps.step_id}, key="turn")).encode()',
            'spec = HookSpec(bool, None, "ok", None, None, "auto")\n'
            '    return str(await steps.hook(spec, key="approval").wait()).encode()',
        )
    )
    run_id = await world.start()
    await world.finish(run_id)
    assert [wait["step"] for wait in (await world.seen(run_id)).waiting_on] == [
        "robot~d1#0/child#0/approval#0"
    ]
    await world.reload(run_id)

    await world.answer(run_id, True)

    assert (await world.finish(run_id)).output.endswith("True")


async def test_cancelling_the_run_cancels_what_is_below_it(world: World) -> None:
    await world.load(FLOW)
    run_id = await world.start()
    await world.rest()

    await world.runtime.cancel(run_id, reason="enough", by="test")
    done = await world.finish(run_id)

    assert done.status == "cancelled"
    cancelled = {event.step: event.meta for event in done.events if event.type == "step_cancelled"}
    assert set(cancelled) == {"robot~d1#0/slow#0", "robot~d1#0/slow#1", "robot~d1#0"}
    assert (meta := cancelled["robot~d1#0"]) is not None
    assert meta.kind == "agent"
