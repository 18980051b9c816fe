"""What a history says of each node, told event by event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ksl.build.canvas import Canvas, extract
from ksl.build.canvas.lights import Light
from ksl.records import Event, Meta
from ksl.records.under_way import UnderWay
from ksl.views.lights import Fold, left_of, lights, node_path

from tests.unit.build.stand_in import is_context, kind_of, load, table_of

NOW_MS = 1_000_000
ORDER = """
async def body(input, ctx):
    await a.run()
    try:
        await b.run()
        await w.run()
    except ValueError:
        await a.run()
        return
    finally:
        await b.run()
    if input:
        await a.run()
    else:
        await b.run()
    await ctx.sleep("1d")
    await ctx.hook()
"""


@pytest.fixture
def draw(tmp_path: Path) -> Any:
    def drawn(text: str) -> Canvas:
        function = load(tmp_path / "flow.py", text)["body"]
        return extract(function, table_of(function), kind_of=kind_of, is_context=is_context)

    return drawn


class History:
    """Events in a line, each a second after the one before."""

    def __init__(self, *lines: str) -> None:
        self.events = [Event("r", 1, "run_created", None, 1000), Event("r", 2, "run_started", None, 2000)]
        for line in lines:
            self.add(line)

    def add(self, line: str, data: dict[str, object] | None = None, **meta: Any) -> History:
        """ "step_failed b#0 ValueError", with what the body had seen taken to be everything before."""
        type, _, rest = line.partition(" ")
        step, _, failure = rest.partition(" ")
        seq = len(self.events) + 1
        if failure:
            data = {"type": failure, "message": "", **(data or {})}
        text = None if data is None else json.dumps(data).encode()
        meta.setdefault("after", seq - 1)
        if type.startswith("step_"):
            meta.setdefault("attempt", 1)
        self.events.append(Event("r", seq, type, step or None, seq * 1000, text, None, Meta(**meta)))  # type: ignore[arg-type]
        return self

    def on(self, canvas: Canvas, *, finished: bool = False, **rest: Any) -> dict[str, Light]:
        return lights(self.events, canvas, now_ms=NOW_MS, finished=finished, **rest)


def states(lit: dict[str, Light]) -> dict[str, str]:
    return {node: light.state for node, light in lit.items()}


def test_before_anything_is_recorded_everything_is_pending(draw: Any) -> None:
    assert History().on(draw(ORDER)) == {}


def test_a_run_that_went_well_says_where_it_did_not_go(draw: Any) -> None:
    whole = History(
        *(f"step_completed {step}#0" for step in ("a", "b", "w", "b~2", "a~3")),
        "sleep_started sleep#0",
        "sleep_completed sleep#0",
        "hook_created hook#0",
        "hook_resumed hook#0",
        "run_completed",
    )
    lit = whole.on(draw(ORDER), finished=True)
    assert states(lit) == {
        "a": "done", "b": "done", "w": "done", "a~2": "skipped", "b~2": "done", "a~3": "done", "b~3": "skipped",
        "sleep": "done", "hook": "done",
    }  # fmt: skip
    assert lit["a"] == Light("done", {"done": 1}, 1, "", 3000, 3000)
    assert lit["a~2"] == Light("skipped", {}, 0, "", None, None)


def test_while_it_goes_on_only_what_cannot_come_any_more_is_skipped(draw: Any) -> None:
    canvas = draw(ORDER)
    history = History("step_completed a#0", "step_completed b#0")
    assert states(history.on(canvas)) == {"a": "done", "b": "done"}
    history.add("step_completed b~2#0")
    assert states(history.on(canvas)) == {
        "a": "done", "b": "done", "w": "skipped", "a~2": "skipped", "b~2": "done",
    }  # fmt: skip
    history.add("step_completed b~3#0")
    assert states(history.on(canvas))["a~3"] == "skipped"


def test_a_failure_is_caught_once_the_run_went_on_beyond_its_handler(draw: Any) -> None:
    canvas = draw(
        "async def body(input, ctx):\n    try:\n        await a.run()\n    except ValueError:\n        await b.run()\n"
        "    await w.run()\n"
    )
    history = History("step_failed a#0 ValueError")
    assert (history.on(canvas)["a"].state, history.on(canvas)["a"].note) == ("failed", "ValueError")
    history.add("step_completed b#0")
    assert history.on(canvas)["a"].state == "failed"  # the handler may raise it again
    history.add("step_completed w#0")
    assert states(history.on(canvas)) == {"a": "caught", "b": "done", "w": "done"}


def test_a_failure_is_caught_as_soon_as_a_step_beyond_its_handler_is_in_flight(draw: Any) -> None:
    canvas = draw(
        "async def body(input, ctx):\n    try:\n        await a.run()\n    except ValueError:\n        await b.run()\n"
        "    await w.run()\n"
    )
    history = History("step_failed a#0 ValueError")
    seq = history.events[-1].seq

    def in_flight(step: str, after: int) -> dict[str, str]:
        callee = step.partition("#")[0]
        now = {step: UnderWay("running", "action", callee, 1, 4000, None, after)}
        return states(history.on(canvas, under_way=now))

    assert in_flight("w#0", seq) == {"a": "caught", "w": "running", "b": "skipped"}
    # asked for before the body could know of the failure; and in the handler, which may raise it again
    assert in_flight("w#0", seq - 1)["a"] == "failed"
    assert in_flight("b#0", seq) == {"a": "failed", "b": "running"}


def test_what_left_the_body_failed_and_what_did_not_was_caught(draw: Any) -> None:
    canvas = draw(
        "async def body(input, ctx):\n    await asyncio.gather(a.run(), b.run())\n    await w.run()\n"
    )
    history = History("step_failed a#0 ValueError", "step_failed b#0 OSError")
    history.add("run_failed  OSError", {"step": "b#0"}, reopens=("b#0",))
    assert states(history.on(canvas, finished=True)) == {"a": "caught", "b": "failed", "w": "skipped"}


def test_a_step_that_is_tried_again_says_when(draw: Any) -> None:
    canvas = draw(ORDER)
    history = History().add("step_retrying a#0 OSError", {"next_attempt_at": "1970-01-01T00:16:44.000Z"})
    assert history.on(canvas)["a"] == Light("retrying", {"retrying": 1}, 1, "try 2 in 4s", 3000, None)
    assert lights(history.events, canvas, now_ms=9_000_000, finished=False)["a"].note == "try 2 is due"
    now = {"a#0": UnderWay("running", "action", "a", 2, 5000, None)}
    assert history.on(canvas, under_way=now)["a"] == Light("running", {"running": 1}, 2, "try 2", 3000, None)


def test_waits_say_for_how_long(draw: Any) -> None:
    canvas = draw(ORDER)
    history = History().add("sleep_started sleep#0", {"due": "1970-01-02T22:16:40.000Z"})
    history.add("hook_created hook#0", {"expires_at": None})
    lit = history.on(canvas)
    assert (lit["sleep"].state, lit["sleep"].note) == ("waiting", "sleep, 46h left")
    assert (lit["hook"].state, lit["hook"].note) == ("waiting", "hook")
    assert lights(history.events, canvas, now_ms=10**12, finished=False)["sleep"].note == "sleep, due"


def test_a_hook_that_was_made_says_nothing_of_how_far_the_body_is(draw: Any) -> None:
    canvas = draw(
        "async def body(input, ctx):\n    h = ctx.hook()\n    if input:\n        await a.run()\n    await h\n"
    )
    assert states(History("hook_created hook#0").on(canvas)) == {"hook": "waiting"}


@pytest.mark.parametrize(
    ("event", "note"), [("hook_rejected", "HookRejected"), ("hook_expired", "HookTimeout")]
)
def test_a_hook_without_an_answer_failed(draw: Any, event: str, note: str) -> None:
    lit = History("hook_created hook#0", f"{event} hook#0").on(draw(ORDER))
    assert (lit["hook"].state, lit["hook"].note) == ("failed", note)


def test_what_was_open_when_the_run_ended_is_cancelled(draw: Any) -> None:
    history = History("step_started a#0", "sleep_started sleep#0", "run_cancel_requested", "run_cancelled")
    lit = history.on(draw(ORDER), finished=True)
    assert (lit["a"].state, lit["sleep"].state, lit["b"].state) == ("cancelled", "cancelled", "skipped")


def test_steps_in_flight_are_known_from_who_runs_them(draw: Any) -> None:
    now = {
        "a#0": UnderWay("running", "action", "a", 1, 4000, None),
        "b#0": UnderWay("in line", "action", "b", 1, None, None),
        "sleep#0": UnderWay("asleep", "sleep", "sleep", 0, None, None),
    }
    lit = History().on(draw(ORDER), under_way=now)
    assert (lit["a"].state, lit["a"].started_at_ms) == ("running", 4000)
    assert (lit["b"].state, lit["b"].note, lit["sleep"].state) == ("running", "in line", "waiting")


LOOP = """
async def body(xs, ctx):
    for x in xs:
        try:
            await a.run()
        except ValueError:
            continue
        if x:
            await b.run()
    await w.run()
"""


def test_a_loop_counts_and_nothing_in_it_is_skipped_before_it_is_over(draw: Any) -> None:
    canvas = draw(LOOP)
    history = History("step_completed a#0", "step_failed a#1 OSError", "step_completed a#2")
    lit = history.on(canvas)
    assert lit["a"].counts == {"done": 2, "caught": 1}  # a#2 was asked for behind the failure of a#1
    assert (lit["a"].state, "b" in lit) == ("done", False)
    history.add("step_completed w#0")
    assert states(history.on(canvas))["b"] == "skipped"


def test_branches_of_a_computed_gather_light_as_one_with_their_places_apart(draw: Any) -> None:
    canvas = draw(
        "async def h(x):\n    await a.run()\n    await b.run()\n"
        "async def body(xs, ctx):\n    await asyncio.gather(*[h(x) for x in xs])\n    await w.run()\n"
    )
    history = History("step_completed a[0]#0", "step_failed a[1]#0 OSError", "step_completed b[0]#0")
    lit = history.on(canvas)
    assert lit["a"].counts == {"done": 1, "failed": 1}  # another branch's going on says nothing of it
    assert (lit["a"].state, lit["b"].state) == ("failed", "done")


def test_lanes_that_a_failed_gather_leaves_running_are_not_skipped(draw: Any) -> None:
    canvas = draw(
        "async def h(x):\n    await a.run()\n    await b.run()\n"
        "async def body(xs, ctx):\n    try:\n        await asyncio.gather(h(1), w.run())\n"
        "    except ValueError:\n        await g.prompt()\n"
    )
    history = History("step_completed a[0]#0", "step_failed w#0 ValueError", "step_completed g#0")
    assert "b" not in history.on(canvas)
    assert history.on(canvas, finished=True)["b"].state == "skipped"


def test_a_retry_of_the_run_takes_up_what_failed_and_forgets_which_way_it_went(draw: Any) -> None:
    canvas = draw(ORDER)
    history = History("step_completed a#0", "step_failed b#0 OSError", "step_completed b~2#0")
    assert history.on(canvas)["w"].state == "skipped"
    history.add(
        "run_retrying", {"reopened": ["b#0"], "next_attempt_at": "1970-01-01T00:16:44.000Z"}, attempt=2
    )
    lit = history.on(canvas)
    assert (lit["b"].state, lit["b"].note) == ("retrying", "again with the run in 4s")
    assert (lit["a"].state, "w" in lit) == ("done", False)
    history.add("run_started", attempt=2)
    assert history.on(canvas)["b"] == Light("pending", {"pending": 1}, 1, "", 4000, 4000)
    history.add("step_completed b#0", attempt=2)
    assert history.on(canvas)["b"].state == "done"
    assert history.on(canvas)["b"].tries == 2


def test_a_sub_workflow_shows_the_worst_of_its_insides_and_then_its_own_end(draw: Any) -> None:
    canvas = draw("async def body(input, ctx):\n    await w.run()\n    await a.run()\n")
    inner = draw("async def body(input, ctx):\n    await a.run()\n    await b.run()\n    await ctx.hook()\n")
    history = History("step_completed w#0/a#0")
    assert history.on(canvas)["w"].state == "running"
    assert states(history.on(inner, inside="w")) == {"a": "done"}
    history.add("hook_created w#0/hook#0", {"expires_at": None})
    assert (history.on(canvas)["w"].state, history.on(canvas)["w"].note) == ("waiting", "hook")
    history.add("step_retrying w#0/b#0 OSError")
    assert (history.on(canvas)["w"].state, history.on(canvas)["w"].note) == ("retrying", "try 2 is due")
    history.add("step_failed w#0/b#0 OSError").add("hook_resumed w#0/hook#0")
    history.add("step_completed w#0", kind="workflow")
    assert states(history.on(canvas)) == {"w": "done"}
    assert states(history.on(inner, inside="w")) == {"a": "done", "b": "caught", "hook": "done"}
    assert history.on(canvas)["w"].started_at_ms == 3000


def test_a_step_of_later_code_is_told_apart(draw: Any) -> None:
    fold = Fold(History("step_completed a#0", "step_completed z#0").events, now_ms=NOW_MS, finished=False)
    assert fold.elsewhere(draw("async def body(input, ctx):\n    await a.run()\n")) == ["z#0"]


def test_a_dynamic_site_lights_whatever_was_called_there(draw: Any) -> None:
    canvas = draw("async def body(input, ctx):\n    await {1: a}[input].run()\n")
    assert states(History("step_completed a~d1#0").on(canvas)) == {"*~d1": "done"}


@pytest.mark.parametrize(
    ("ms", "told"),
    [(0, ""), (-5, ""), (1, "1s"), (119_000, "119s"), (120_000, "2m"), (7_199_000, "119m"), (7_200_000, "2h"),
     (165_600_000, "46h"), (259_200_000, "3d")],
)  # fmt: skip
def test_what_is_left_is_told_in_one_unit(ms: int, told: str) -> None:
    assert left_of(ms) == told


def test_the_path_of_a_step_leaves_out_which_time_it_was() -> None:
    assert node_path("enrich-lead[1.0]#2/score~2#0") == "enrich-lead/score~2"
    assert node_path("") == ""
