"""The pages of the console as text, and the stream that keeps one up to date."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.serving import Served, serving
from tests.integration.api.visiting import Visitor, text_in, visiting

MORE = '''
import asyncio
from pydantic import BaseModel
from ksl import Context, CronSource, Retry, StepFailed, WebhookSource, action, workflow

GATE = asyncio.Event()


class Order(BaseModel):
    id: str
    amount: float = 0


@action
async def first(id: str) -> str:
    return id


@action
async def second(id: str) -> str:
    await GATE.wait()
    return id


@action(retry=Retry(attempts=2, initial="1ms", jitter=False))
async def refuse(text: str) -> None:
    raise ConnectionError(text)


@workflow
async def two_steps(input: Order, ctx: Context) -> str:
    """Two steps, the second of which waits for the test."""
    await first.run(id=input.id)
    return await second.run(id=input.id)


@workflow(retry=Retry(attempts=1))
async def refused(input: str) -> None:
    await refuse.run(text=input)


@workflow
async def echo(input: str) -> str:
    return await first.run(id=input)


@workflow
async def anything(input: dict[str, object]) -> dict[str, object]:
    return input


@action(retry=Retry(attempts=3, initial="80s", jitter=False))
async def delay() -> None:
    raise TimeoutError("not yet")


@workflow
async def patient() -> None:
    await delay.run()


@workflow
async def asking(input: dict[str, str], ctx: Context) -> object:
    return await ctx.hook(title=input["title"], details=input["details"])


CronSource(slug="weekdays", schedule="0 9 * * mon-fri", timezone="Europe/Berlin", payload={}).attach(
    two_steps, transform=lambda _: {"id": "cron"}
)
WebhookSource(slug="orders", endpoint="orders", payload=Order).attach(two_steps)
'''
NASTY = '</script><b onclick="x">&amp;\x1b[31mred\x1b[0m\u202eltr\u2066\x00 wide: 漢字 שלום'


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[Served]:
    (folder / "workflows" / "more.py").write_text(MORE.lstrip())
    async with serving(folder) as server:
        yield server


@pytest.fixture
async def visitor(served: Served) -> AsyncIterator[Visitor]:
    async with visiting(served) as visitor:
        yield visitor


def let_go() -> None:
    """The second step of `two_steps` ends."""
    sys.modules["workflows.more"].GATE.set()


# --- reading


async def test_the_list_of_runs_begins_with_what_to_do(visitor: Visitor) -> None:
    shown = text_in(await visitor.get(""))
    assert "No runs yet" in shown
    assert re.search(r"ksl workflows run [a-z-]+", shown)


async def test_runs_are_listed_filtered_and_counted(served: Served, visitor: Visitor) -> None:
    await served.ended("nothing")
    failed = await served.ended("failing")
    shown = text_in(await visitor.get("runs"))
    assert "2 runs" in shown
    assert "out of order" in shown
    only = await visitor.get("runs?q=state:failed")
    assert failed["run_id"] in only.text
    assert "1 run" in text_in(only)
    assert 'value="state:failed"' in only.text
    none = text_in(await visitor.get("runs?q=workflow:sleeper"))
    assert "0 runs match" in none


async def test_a_filter_that_cannot_be_read_is_marked_where_it_is_wrong(visitor: Visitor) -> None:
    page = await visitor.get("runs?q=state:failed stat:<b>")
    assert page.status_code == 400
    assert "<mark>stat:&lt;b&gt;</mark>" in page.text
    assert 'Did you mean "state:"' in text_in(page)


async def test_pages_of_runs_follow_each_other(served: Served, visitor: Visitor) -> None:
    started = [await served.start("nothing") for _ in range(60)]
    for run_id in started:
        await served.runtime.settled(run_id, timeout_s=20)
    newest = await visitor.get("runs")
    older = re.search(r'href="\./(runs\?q=&amp;cursor=[^"]+)">Older', newest.text)
    assert older is not None
    rest = await visitor.get(unescape(older[1]))
    listed = [re.findall(r"run_[0-9a-z]{20}(?=</a>)", page.text) for page in (newest, rest)]
    assert (len(listed[0]), len(listed[1])) == (50, 10)
    assert sorted(listed[0] + listed[1]) == sorted(started)
    assert "data-live" in newest.text
    assert "data-live" not in rest.text


async def test_a_failed_run_shows_its_error_with_the_authors_frames_first(
    served: Served, visitor: Visitor
) -> None:
    run = await served.ended("refused", "carrier refused")
    page = await visitor.get(f"runs/{run['run_id']}?step=refuse%230")
    frames = re.findall(r'<span class="mono">(\S+):\d+</span> <span class="soft">in (\w+)', page.text)
    raised, asked = ("workflows/more.py", "refuse"), ("workflows/more.py", "refused")
    assert frames == [raised, asked, raised]  # of the run, and of the step that it failed at
    shown = text_in(page)
    assert "ConnectionError carrier refused" in shown
    assert "2 tries" in shown
    assert page.text.count('class="bar failed"') == 2
    assert re.search(r'data-id="refuse"[^>]*', page.text)
    assert "state-failed" in page.text


async def test_what_users_wrote_is_escaped_and_cut_and_turns_nothing_round(
    served: Served, visitor: Visitor
) -> None:
    failed = await served.ended("refused", NASTY)
    long = await served.ended("echo", NASTY + "x" * 1_000_000)
    asked, _ = await served.asked("asking", {"title": NASTY, "details": NASTY})
    paths = [
        "runs",
        f"runs?q={'%3Cb%20onclick%3E'}",
        f"runs/{failed['run_id']}?step=refuse%230",
        f"runs/{long['run_id']}?step=first%230",
        "hooks",
        f"hooks/{asked}?step=hook%230",
        f"runs/{asked}?step=%3Cb%20onclick%3E",
    ]
    for path in paths:
        page = await visitor.get(path)
        assert page.status_code == 200, path
        assert "<b onclick" not in page.text, path
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page.text), path
        assert len(page.content) < 300_000, path
    assert "1,000," in text_in(await visitor.get(f"runs/{long['run_id']}"))
    whole = await visitor.get(f"runs/{long['run_id']}/download")
    assert whole.json()["output"] == long["output"]
    assert "attachment" in whole.headers["content-disposition"]


async def test_what_is_not_there_has_a_page_that_says_so(visitor: Visitor) -> None:
    for path in ("runs/run_nope", "workflows/nope", "triggers/nope", "hooks/run_nope?step=x"):
        page = await visitor.get(path)
        assert page.status_code == 404, path
        assert "Not here" in text_in(page)


async def test_the_system_page_has_the_figures(served: Served, visitor: Visitor) -> None:
    await served.ended("nothing")
    shown = text_in(await visitor.get("system"))
    assert "takes work" in shown
    assert "Success 1" in shown
    assert "Slots in use 0 of" in shown


async def test_the_system_page_shows_the_log_by_level_and_text(served: Served, visitor: Visitor) -> None:
    failed = (await served.ended("refused", NASTY))["run_id"]
    logging.getLogger("ksl.test").error("one <b> thing", extra={"traceback": "x"})
    page = await visitor.get("system?level=warning")
    assert f"run {failed} of refused failed" in text_in(page)
    assert f'href="./runs/{failed}"' in page.text
    assert not re.search("<b[ >]", page.text.partition('class="scroll log"')[2])
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page.text)
    only = text_in(await visitor.get("system?level=error&text=ONE%20"))
    assert ("one <b> thing" in only, failed in only) == (True, False)
    assert "No line of the log is like that" in text_in(await visitor.get("system?text=nobody-says-this"))
    assert (await visitor.get("system?level=loud")).status_code == 400


async def test_the_system_page_follows_the_log_and_the_figures(served: Served, visitor: Visitor) -> None:
    failed = ""
    shown: dict[str, str] = {}
    async for _, _, message in visitor.live("system?level=warning"):
        shown |= message.get("sections", {})
        if not failed:
            assert "Failed</span></a></dt><dd>0</dd>" in shown["live_figures"]
            failed = (await served.ended("refused", "carrier refused"))["run_id"]
        elif failed in shown["live_log"] and "Failed</span></a></dt><dd>1</dd>" in shown["live_figures"]:
            break


# --- acting


async def test_a_run_is_started_from_a_form(served: Served, visitor: Visitor) -> None:
    assert "Greets somebody" in text_in(await visitor.get("workflows/greeting"))
    page = await visitor.send("workflows/greeting", name="Ada")
    run_id = str(page.url).rpartition("/")[2]
    assert (await served.settled(run_id))["output"] == {"message": "Hello, Ada"}
    [created] = (await served.run(run_id, "events"))["events"][:1]
    assert created["meta"]["by"] == "console"


async def test_a_run_is_started_with_json(served: Served, visitor: Visitor) -> None:
    page = await visitor.send("workflows/greeting", **{"name": "ignored", "ksl:json": '{"name": "Bob"}'})
    assert (await served.settled(str(page.url).rpartition("/")[2]))["input"] == {"name": "Bob"}
    wrong = await visitor.send("workflows/greeting", **{"ksl:json": '{"name"'})
    assert wrong.status_code == 422


async def test_an_input_that_does_not_fit_starts_nothing_and_stays_in_the_form(
    served: Served, visitor: Visitor
) -> None:
    page = await visitor.send("workflows/two-steps", id="o-1", amount="much")
    assert page.status_code == 422
    assert 'value="o-1"' in page.text
    assert "valid number" in text_in(page)
    assert (await served.client.get("/runs")).json()["runs"] == []


async def test_a_run_is_cancelled_retried_run_again_and_forked(served: Served, visitor: Visitor) -> None:
    run_id = await served.start("sleeper")
    await served.runtime.store.flush()
    assert "Cancel" in text_in(await visitor.get(f"runs/{run_id}"))
    await visitor.send(f"runs/{run_id}/cancel", reason="enough")
    assert (await served.settled(run_id))["status"] == "cancelled"

    greeted = (await served.ended("greeting", {"name": "Ada"}))["run_id"]
    forked = await visitor.send(f"runs/{greeted}/fork", at="greet#0")
    assert (await served.settled(str(forked.url).rpartition("/")[2]))["forked_from"] == greeted

    refused = await visitor.send(f"runs/{greeted}/cancel")
    assert (refused.status_code, "Nothing was changed" in text_in(refused)) == (409, True)
    assert (await visitor.send(f"runs/{greeted}/explode")).status_code == 400


async def test_a_run_is_run_again_with_an_input_that_can_be_changed(served: Served, visitor: Visitor) -> None:
    first = (await served.ended("greeting", {"name": "Ada"}))["run_id"]
    link = re.search(
        r'href="\.\./(workflows/greeting\?again=\w+)"', (await visitor.get(f"runs/{first}")).text
    )
    assert link is not None
    form = await visitor.get(link[1])
    assert re.search(r'name="name" value="Ada"', form.text)
    asked = {"name": "Bob", "ksl:again": first}
    page = await visitor.send("workflows/greeting", **asked)
    second = str(page.url).rpartition("/")[2]
    assert first in page.text  # the new run leads back to the old one
    assert second in (await visitor.get(f"runs/{first}")).text
    run = await served.settled(second)
    assert (run["output"], run["trigger"], run["forked_from"]) == ({"message": "Hello, Bob"}, "retry", first)
    other = await visitor.send("workflows/nothing", **{"ksl:again": first})
    assert (other.status_code, "Nothing was started" in text_in(other)) == (400, True)


async def test_an_input_that_no_form_has_room_for_is_run_again_as_json(
    served: Served, visitor: Visitor
) -> None:
    given = {"id": "o-1", "amount": 2.5, "beside": {"<b>": [1, None]}}
    let_go()
    first = (await served.ended("anything", given))["run_id"]
    form = await visitor.get(f"workflows/anything?again={first}")
    raw = re.search(r'name="ksl:json"[^>]*>\n(.*?)</textarea>', form.text, re.DOTALL)
    assert raw is not None
    again = await visitor.send("workflows/anything", **{"ksl:again": first, "ksl:json": unescape(raw[1])})
    assert (await served.settled(str(again.url).rpartition("/")[2]))["output"] == given


async def test_what_succeeded_is_hidden_on_demand_and_rows_of_one_place_are_told_apart(
    served: Served, visitor: Visitor
) -> None:
    run_id = (await served.ended("many", 3))["run_id"]
    page = await visitor.get(f"runs/{run_id}")
    assert re.findall(r"greet#(\d) <bdi class=\"soft\">(\d)</bdi>", page.text) == [
        ("0", "0"),
        ("1", "1"),
        ("2", "2"),
    ]
    hidden = await visitor.get(f"runs/{run_id}?hide=succeeded&scale=true")
    assert "greet#0" not in hidden.text.partition('class="timeline"')[2]
    assert "3 that succeeded are hidden" in text_in(hidden)
    assert 'href="?scale=true"' in hidden.text  # what else was chosen stays
    failed = (await served.ended("refused", "no"))["run_id"]
    assert 'data-step="refuse#0"' in (await visitor.get(f"runs/{failed}?hide=succeeded")).text


async def test_each_attempt_of_a_step_is_shown_with_its_error(served: Served, visitor: Visitor) -> None:
    run = await served.ended("refused", "carrier refused")
    shown = text_in(await visitor.get(f"runs/{run['run_id']}?step=refuse%230"))
    assert re.search(r"try 1 .*ConnectionError carrier refused .*try 2 .*ConnectionError carrier", shown)


async def test_a_step_that_is_tried_again_says_when(served: Served, visitor: Visitor) -> None:
    run_id = await served.start("patient")
    async for _, _, message in visitor.live(f"runs/{run_id}"):
        if "data-until" in message.get("sections", {}).get("live_head", ""):
            break
    shown = text_in(await visitor.get(f"runs/{run_id}?step=delay%230"))
    assert re.search(r"delay#0 try 2 of 3, next in \d+ (s|min)", shown)
    assert re.search(r"Attempts .*try 1 .*TimeoutError not yet .*Retrying try 2 in \d+", shown)


async def test_a_node_counts_down_with_nothing_else_sent(served: Served, visitor: Visitor) -> None:
    run_id = await served.start("patient")
    told: list[str] = []
    async for _, _, message in visitor.live(f"runs/{run_id}"):
        node = message.get("nodes", {}).get("delay")
        if node is not None and node["state"] == "retrying":
            told.append(node["told"])
            if len(told) > 1:
                assert "sections" not in message
                break
    assert told[0] != told[1]


async def test_running_again_from_a_step_says_what_runs_again(served: Served, visitor: Visitor) -> None:
    let_go()
    run_id = (await served.ended("two-steps", {"id": "o-1"}))["run_id"]
    shown = text_in(await visitor.get(f"runs/{run_id}?step=first%230"))
    assert "These 2 steps run again" in shown
    assert "first#0, second#0" in shown
    assert "This step runs again" in text_in(await visitor.get(f"runs/{run_id}?step=second%230"))


async def test_a_hook_is_answered_with_nothing_chosen_beforehand(served: Served, visitor: Visitor) -> None:
    run_id, _ = await served.asked("approval", {})
    assert "Ship it?" in text_in(await visitor.get("hooks"))
    place = f"hooks/{run_id}?step=hook%230"
    page = await visitor.get(place)
    assert not re.search(r"<input[^>]* checked", page.text)
    assert "1.2 &lt;b&gt;" in page.text

    assert (await visitor.send(place, note="x")).status_code == 422
    gap = await visitor.send(place, **{"ksl:decision": "answer", "note": "kept"})
    assert gap.status_code == 422
    assert 'value="kept"' in gap.text
    await visitor.send(place, **{"ksl:decision": "answer", "approved": "true", "ksl:by": "Ada"})
    assert (await served.settled(run_id))["output"]["approved"] is True
    after = text_in(await visitor.get(place))
    assert "Answered by Ada" in after
    again = await visitor.send(place, **{"ksl:decision": "answer", "approved": "false"})
    assert again.status_code == 409


async def test_a_hook_is_rejected(served: Served, visitor: Visitor) -> None:
    run_id, _ = await served.asked("approval", {})
    form = {"ksl:decision": "reject", "ksl:reason": "too early"}
    await visitor.send(f"hooks/{run_id}?step=hook%230", **form)
    assert "too early" in (await served.settled(run_id))["error"]["message"]


async def test_triggers_show_their_next_times_and_fire(served: Served, visitor: Visitor) -> None:
    listed = text_in(await visitor.get("triggers"))
    assert "09:00" in listed
    assert "none yet" in listed
    fired = await visitor.send("triggers/orders/fire", **{"ksl:payload": '{"id": "o-7"}'})
    run_id = re.search(r"run_[0-9a-z]{20}", fired.text)
    assert run_id is not None
    assert (await served.run(run_id[0]))["input"]["id"] == "o-7"
    wrong = await visitor.send("triggers/orders/fire", **{"ksl:payload": "{}"})
    assert (wrong.status_code, "does not fit" in text_in(wrong)) == (422, True)
    assert "disabled" in text_in(await visitor.send("triggers/weekdays/disable"))
    assert (await served.client.get("/triggers/weekdays")).json()["enabled"] is False
    let_go()


# --- live


async def test_a_stream_begins_with_everything_and_goes_on_with_what_differs(
    served: Served, visitor: Visitor
) -> None:
    run_id = await served.start("two-steps", {"id": "o-1"})
    states: dict[str, str] = {}
    messages: list[dict[str, Any]] = []
    async for event, _, data in visitor.live(f"runs/{run_id}"):
        if event == "ended":
            break
        messages.append(data)
        states |= {id: node["state"] for id, node in data.get("nodes", {}).items()}
        if states == {"first": "done", "second": "running"}:
            let_go()
    assert messages[0]["whole"] is True
    assert {"live_head", "live_timeline", "live_events"} <= set(messages[0]["sections"])
    assert not any("whole" in each for each in messages[1:])
    assert states == {"first": "done", "second": "done"}
    assert "Success" in messages[-1]["sections"]["live_head"]
    assert not any("<svg xmlns" in str(each) for each in messages)


@pytest.mark.parametrize("page", ["runs", "hooks", "runs/{run_id}", "system"])
async def test_what_a_stream_sends_leads_where_the_page_itself_leads(
    served: Served, visitor: Visitor, page: str
) -> None:
    run_id, _ = await served.asked("approval", {})
    path = page.format(run_id=run_id)
    leads = re.compile(r'(?:href|action)="([^"]+)"')
    of_page = set(leads.findall((await visitor.get(path)).text))
    stream = visitor.live(path)
    _, _, message = await anext(stream)
    await stream.aclose()
    of_stream = {each for part in message["sections"].values() for each in leads.findall(part)}
    assert of_stream
    assert of_stream <= of_page


async def test_a_stream_taken_up_again_misses_nothing_and_ends_with_its_run(
    served: Served, visitor: Visitor
) -> None:
    run_id = await served.start("two-steps", {"id": "o-1"})
    stream = visitor.live(f"runs/{run_id}")
    last = 0
    async for _, number, data in stream:
        last = number
        if data.get("nodes", {}).get("second", {}).get("state") == "running":
            break
    await stream.aclose()
    let_go()
    await served.settled(run_id)
    taken_up = [message async for message in visitor.live(f"runs/{run_id}", last_id=last)]
    assert taken_up[0][2]["whole"] is True
    assert taken_up[0][2]["nodes"]["second"]["state"] == "done"
    assert taken_up[-1][0] == "ended"
    assert taken_up[-1][1] > last
    headers = {"Last-Event-ID": str(taken_up[-1][1])}
    assert (await visitor.client.get(f"/ui/live/runs/{run_id}", headers=headers)).status_code == 204


async def test_the_list_of_runs_and_that_of_hooks_follow_what_happens(
    served: Served, visitor: Visitor
) -> None:
    async def until(path: str, text: str) -> None:
        async for _, _, data in visitor.live(path):
            if text in data["sections"].get("live_rows", ""):
                return

    async with asyncio.timeout(20):
        listening = [asyncio.create_task(until("runs?q=workflow:approval", "approval"))]
        listening += [asyncio.create_task(until("hooks", "Ship it?"))]
        await served.start("approval", {})
        await asyncio.gather(*listening)


async def test_streams_end_when_the_server_stops(served: Served, visitor: Visitor) -> None:
    run_id = await served.start("sleeper")
    async with asyncio.timeout(20):
        async for _ in visitor.live(f"runs/{run_id}"):
            served.stop.set()
