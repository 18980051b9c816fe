from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tests.integration.api.serving import WORKFLOWS, Served, serving

OUTER = """
@workflow
async def outer(ctx: Context) -> object:
    await greeting.run(name="Ada")
    return await question.run()
"""


async def canvas(served: Served, slug: str, run_id: str, **query: str) -> Any:
    answer = await served.client.get(f"/workflows/{slug}/canvas", params={"run": run_id, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_run_is_shown_on_its_canvas_as_it_goes(served: Served) -> None:
    run_id = await served.start("lapsing")
    await served.runtime.settled(run_id, timeout_s=20, waits=True)
    shown = await canvas(served, "lapsing", run_id)
    assert shown["run"] == {
        "run_id": run_id,
        "status": "waiting",
        "code_version": served.runtime.project.code_version("lapsing"),
    }
    assert (shown["changed"], shown["elsewhere"]) == (False, [])
    assert shown["nodes"]["hook~2"]["state"] == "waiting"
    await served.runtime.resume_hook(run_id, "hook~2#0", b"1")
    await served.settled(run_id)
    nodes = (await canvas(served, "lapsing", run_id))["nodes"]
    assert {node: light["state"] for node, light in nodes.items()} == {"hook": "caught", "hook~2": "done"}


async def test_a_step_in_flight_is_running_though_no_event_tells_of_it(served: Served) -> None:
    run_id = await served.start("holding")
    await served.runtime.store.flush()
    while served.runtime.figures().steps_in_flight == 0:
        await served.runtime.settled(run_id, timeout_s=0.01)
    node = (await canvas(served, "holding", run_id))["nodes"]["hold"]
    assert (node["state"], node["counts"], node["tries"]) == ("running", {"running": 1}, 1)
    assert node["started_at"] is not None
    (step,) = (await served.run(run_id, "steps"))["steps"]
    assert (step["id"], step["status"], step["callee"], step["attempts"]) == ("hold#0", "running", "hold", 1)


async def test_a_run_can_be_had_as_a_picture(served: Served) -> None:
    run = await served.ended("greeting", {"name": "Ada"})
    query = {"run": run["run_id"], "format": "svg"}
    picture = await served.client.get("/workflows/greeting/canvas", params=query)
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "state-done" in ET.tostring(ET.fromstring(picture.text), encoding="unicode")
    query["format"] = "mermaid"
    chart = await served.client.get("/workflows/greeting/canvas", params=query)
    assert chart.text.startswith("flowchart TD\n")


async def test_insides_are_opened_and_lit_on_demand(folder: Path) -> None:
    (folder / "workflows" / "all.py").write_text((WORKFLOWS + OUTER).lstrip())
    async with serving(folder) as served:
        run_id = await served.start("outer")
        await served.runtime.settled(run_id, timeout_s=20, waits=True)
        assert "insides" not in await canvas(served, "outer", run_id)
        shown = await canvas(served, "outer", run_id, expand="true")
        assert {node: light["state"] for node, light in shown["nodes"].items()} == {
            "greeting": "done",
            "question": "waiting",
        }
        insides = shown["insides"]
        assert insides["greeting"]["nodes"]["greet"]["state"] == "done"
        assert insides["question"]["nodes"]["hook"]["state"] == "waiting"
        bare = (await served.client.get("/workflows/outer/canvas?expand=true")).json()["insides"]
        assert ("nodes" in bare["greeting"], bare["greeting"]["workflow"]) == (False, "greeting")


async def test_a_run_is_drawn_on_the_code_it_was_started_with(folder: Path) -> None:
    async with serving(folder) as served:
        run_id, _ = await served.asked("question")
        before = await canvas(served, "question", run_id)
    text = WORKFLOWS.replace('return await ctx.hook(title="What now?")', "    return 1").lstrip()
    (folder / "workflows" / "all.py").write_text("# another line\n" + text)
    async with serving(folder) as served:
        shown = await canvas(served, "question", run_id)
        assert shown["changed"] is True
        assert shown["blocks"] == before["blocks"]
        assert shown["at"] == before["at"]
        assert shown["nodes"]["hook"]["state"] == "waiting"
        for form, told in (
            ("mermaid", "%% drawn from version {}; the"),
            ("svg", "<!-- drawn from version {}; the"),
        ):
            query = {"run": run_id, "format": form}
            picture = await served.client.get("/workflows/question/canvas", params=query)
            assert told.format(shown["run"]["code_version"]) in picture.text
        assert [block["block"] for block in (await _bare(served, "question"))["blocks"]] == ["terminal"]


async def test_a_version_that_was_not_kept_is_drawn_on_the_same_source_only(folder: Path) -> None:
    async with serving(folder) as served:
        run_id, _ = await served.asked("question")
    with closing(sqlite3.connect(folder / ".ksl" / "ksl.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM code_version")
    async with serving(folder) as served:
        assert (await canvas(served, "question", run_id))["changed"] is False
    (folder / "workflows" / "all.py").write_text("\n" + WORKFLOWS)
    async with serving(folder) as served:
        answer = await served.client.get("/workflows/question/canvas", params={"run": run_id})
        assert (answer.status_code, answer.json()["code"]) == (404, "KSL611")
        assert "not drawn on other source" in answer.json()["detail"]


async def test_a_run_that_is_not_there_or_another_workflows_is_not_found(served: Served) -> None:
    run = await served.ended("nothing")
    for slug, run_id, told in (("nothing", "run_x", "No run"), ("greeting", run["run_id"], "of nothing")):
        answer = await served.client.get(f"/workflows/{slug}/canvas", params={"run": run_id})
        assert (answer.status_code, answer.json()["code"]) == (404, "KSL414")
        assert told in answer.json()["detail"]


async def _bare(served: Served, slug: str) -> Any:
    return (await served.client.get(f"/workflows/{slug}/canvas")).json()


async def test_what_a_cancelled_run_left_in_flight_is_cancelled_on_its_canvas(served: Served) -> None:
    run_id = await served.start("holding")
    while served.runtime.figures().steps_in_flight == 0:
        await served.runtime.settled(run_id, timeout_s=0.01)
    await served.client.post(f"/runs/{run_id}/cancel", json={})
    await served.settled(run_id)
    shown = await canvas(served, "holding", run_id)
    assert (shown["run"]["status"], shown["nodes"]["hold"]["state"]) == ("cancelled", "cancelled")
    assert (await served.run(run_id, "steps"))["steps"][0]["status"] == "cancelled"


async def test_a_fork_has_the_canvas_of_the_code_it_was_made_with(served: Served) -> None:
    run = await served.ended("many", 3)
    forked = await served.client.post(f"/runs/{run['run_id']}/fork", json={"at": "greet#1"})
    fork_id = forked.json()["run_id"]
    await served.settled(fork_id)
    shown = await canvas(served, "many", fork_id)
    assert (shown["changed"], shown["nodes"]["greet"]["counts"]) == (False, {"done": 3})


async def test_failed_steps_taken_up_again_say_so(served: Served) -> None:
    run = await served.ended("failing")
    assert (await canvas(served, "failing", run["run_id"]))["nodes"]["fail"]["note"] == "FatalError"
    await served.client.post(f"/runs/{run['run_id']}/retry")
    await served.settled(run["run_id"])
    node = (await canvas(served, "failing", run["run_id"]))["nodes"]["fail"]
    assert (node["state"], node["tries"]) == ("failed", 2)
