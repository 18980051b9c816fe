from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Select, TextArea

from ksl.build.config import load_settings
from ksl.cli.doors import ProjectDoors
from ksl.tui.app import KslApp
from ksl.tui.client import Door
from ksl.tui.dialogs import Ask
from ksl.tui.form import Form
from ksl.tui.frame import Line
from ksl.tui.hooks import HooksScreen
from ksl.tui.run import RunScreen
from ksl.tui.yes_no import YesNo

from tests.integration.api.serving import Served, serving
from tests.tui.app import SIZES, OneDoor, shown, text_of, until

ORDER = {"id": "o-115", "cents": 1204}
ANSWER = {"approved": False, "level": "low", "cents": 12, "to": {"city": "Bonn"}}


async def inbox(app: KslApp, pilot: Pilot[None]) -> HooksScreen:
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.screen, HooksScreen) and app.screen.loaded)
    assert isinstance(app.screen, HooksScreen)
    return app.screen


async def filled(screen: HooksScreen, pilot: Pilot[None]) -> Form:
    await until(pilot, lambda: screen.form is not None and screen.form.is_mounted)
    await pilot.press("enter")
    assert screen.form is not None
    form = screen.form
    await until(pilot, lambda: form.has_focus_within)
    return form


def shown_in(form: Form) -> str:
    return form.query_one(".problem", Line).shown


def set_all(form: Form) -> None:
    values = {"cents": "12", "to.city": "Bonn"}
    for box in form.boxes:
        if isinstance(box.input, YesNo):
            box.input.value = False
        elif isinstance(box.input, Select):
            box.input.value = "low"  # pyright: ignore[reportUnknownMemberType]
        elif isinstance(box.input, Input) and box.field.name in values:
            box.input.value = values[box.field.name]


@pytest.mark.parametrize("size", SIZES)
async def test_an_empty_inbox_says_that_nothing_waits(served: Served, size: tuple[int, int]) -> None:
    async with shown(served, size) as (app, pilot):
        await inbox(app, pilot)
        await until(pilot, lambda: "Nothing waits for you." in text_of(app))


@pytest.mark.parametrize("size", SIZES)
async def test_a_waiting_hook_is_listed_with_its_question_and_its_time(
    served: Served, size: tuple[int, int]
) -> None:
    await served.asked("refund-approval", ORDER)
    async with shown(served, size) as (app, pilot):
        await inbox(app, pilot)
        await until(pilot, lambda: "Refund o-115?" in text_of(app))
        assert re.search(r"(71h|3d) left", text_of(app))


async def test_nothing_is_chosen_beforehand_and_an_untouched_form_is_not_sent(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", ORDER)
    async with shown(served) as (app, pilot):
        screen = await inbox(app, pilot)
        form = await filled(screen, pilot)
        assert form.query_one(YesNo).value is None
        assert not isinstance(form.query_one(Select).value, str)  # pyright: ignore[reportUnknownMemberType]
        await pilot.press("ctrl+s")
        await until(pilot, lambda: text_of(app).count("an answer is needed here") == 4)
        await pilot.press("y")
        await until(pilot, lambda: text_of(app).count("an answer is needed here") == 3)
        assert (await served.run(run_id))["status"] == "waiting"


async def test_an_answer_is_sent_with_its_types_and_the_run_goes_on(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", ORDER)
    async with shown(served) as (app, pilot):
        screen = await inbox(app, pilot)
        form = await filled(screen, pilot)
        set_all(form)
        assert form.payload() == (ANSWER,)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Nothing waits for you." in text_of(app))
        run = await served.settled(run_id)
        assert (run["status"], run["output"]) == ("succeeded", "declined")


async def test_what_the_server_refuses_is_told_at_its_field(served: Served) -> None:
    await served.asked("refund-approval", ORDER)
    async with shown(served) as (app, pilot):
        screen = await inbox(app, pilot)
        form = await filled(screen, pilot)
        set_all(form)
        cents = next(box for box in form.boxes if box.field.name == "cents")
        assert isinstance(cents.input, Input)
        cents.input.value = "10001"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "10000" in str(cents.query_one(".wrong").render()))
        assert cents.input.has_focus


async def test_the_answer_can_be_given_as_json(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", ORDER)
    async with shown(served) as (app, pilot):
        screen = await inbox(app, pilot)
        form = await filled(screen, pilot)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: form.is_raw)
        form.query_one(".raw", TextArea).text = "{no json"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "This is not JSON" in text_of(app))
        form.query_one(
            ".raw", TextArea
        ).text = '{"approved": false, "level": "high", "cents": 1, "to": {"city": "x"}}'
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Nothing waits for you." in text_of(app))
        assert (await served.settled(run_id))["output"] == "declined"


async def test_a_hook_is_rejected_with_a_reason(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", ORDER)
    async with shown(served) as (app, pilot):
        screen = await inbox(app, pilot)
        await until(pilot, lambda: screen.form is not None)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*"too late", "enter")
        await until(pilot, lambda: isinstance(app.screen, HooksScreen) and "Nothing waits" in text_of(app))
        events = (await served.client.get(f"/runs/{run_id}/events")).json()["events"]
        assert [each["data"]["reason"] for each in events if each["type"] == "hook_rejected"] == ["too late"]


async def test_a_hook_that_somebody_else_answers_says_so_and_keeps_what_was_typed(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", ORDER)
    async with shown(served) as (app, pilot):
        screen = await inbox(app, pilot)
        form = await filled(screen, pilot)
        set_all(form)
        await served.client.post(f"/runs/{run_id}/hooks/resume", json={"payload": ANSWER})
        told = "takes no answer any more: already answered by api at "
        await until(pilot, lambda: told in shown_in(form))
        assert '"level": "low"' in shown_in(form)
        assert form.payload() == (ANSWER,)


async def test_a_hook_that_somebody_else_rejects_says_why(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", ORDER)
    async with shown(served) as (app, pilot):
        screen = await inbox(app, pilot)
        form = await filled(screen, pilot)
        await served.client.post(f"/runs/{run_id}/hooks/reject", json={"reason": "no money left"})
        await until(pilot, lambda: "already rejected by api" in shown_in(form))
        assert "no money left" in shown_in(form)


async def test_a_hook_whose_run_was_cancelled_says_so(served: Served) -> None:
    run_id, _ = await served.asked("refund-approval", ORDER)
    async with shown(served) as (app, pilot):
        screen = await inbox(app, pilot)
        form = await filled(screen, pilot)
        await served.client.post(f"/runs/{run_id}/cancel")
        await until(pilot, lambda: "takes no answer any more: its run has ended." in shown_in(form))


@pytest.mark.parametrize("size", SIZES[1:])
async def test_where_each_answer_leads_is_told_from_the_canvas(served: Served, size: tuple[int, int]) -> None:
    await served.asked("refund-approval", ORDER)
    async with shown(served, size) as (app, pilot):
        await inbox(app, pilot)
        await until(pilot, lambda: "not consent.approved → return 'declined'" in text_of(app))
        assert re.search(r"else +→ press", text_of(app))


async def test_how_often_the_link_was_used_is_told(served: Served) -> None:
    _, link = await served.asked("refund-approval", ORDER)
    for _ in range(3):
        await served.stranger.get(link, headers={"Accept": "text/html"})
    async with shown(served, (200, 60)) as (app, pilot):
        await inbox(app, pilot)

        def told() -> bool:
            assert isinstance(app.screen, HooksScreen)
            app.screen.reload()
            return "link opened 3 times" in text_of(app)

        await until(pilot, told)


async def test_what_was_typed_is_kept_while_the_server_is_gone_and_sent_when_it_is_back(
    folder: Path,
) -> None:
    async with serving(folder) as first:
        run_id, _ = await first.asked("refund-approval", ORDER)
        door = OneDoor(Door(first.url, first.runtime.token))
        app = KslApp(door)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.link.state == "live")
            screen = await inbox(app, pilot)
            form = await filled(screen, pilot)
            set_all(form)
            first.stop.set()
            await until(pilot, lambda: app.link.state == "lost")
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "what you typed is kept" in shown_in(form))
            assert form.payload() == (ANSWER,)
            await first.runtime.close()
            async with serving(folder) as second:
                door.door = Door(second.url, second.runtime.token)
                await until(pilot, lambda: app.link.state == "live")
                await pilot.press("ctrl+s")
                await until(pilot, lambda: "Nothing waits for you." in text_of(app))
                assert (await second.settled(run_id))["output"] == "declined"


async def test_without_a_server_the_inbox_says_how_to_answer(folder: Path) -> None:
    async with serving(folder) as served:
        run_id, _ = await served.asked("refund-approval", ORDER)
    doors = ProjectDoors(load_settings(folder))
    app = KslApp(doors, folder=folder)
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: app.link.state == "stored")
            screen = await inbox(app, pilot)
            form = await filled(screen, pilot)
            set_all(form)
            await pilot.press("ctrl+s")
            told = f"ksl hooks resume {run_id} --step hook#0 --data JSON"
            await until(pilot, lambda: told in shown_in(form))
            assert form.payload() == (ANSWER,)
    finally:
        await doors.aclose()


async def test_a_opens_the_inbox_at_the_hook_of_the_run(served: Served) -> None:
    await served.asked("refund-approval", {"id": "first"})
    second, _ = await served.asked("refund-approval", {"id": "second"})
    async with shown(served) as (app, pilot):
        app.open_run(second)
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
        await pilot.press("a")
        await until(
            pilot,
            lambda: isinstance(app.screen, HooksScreen) and (app.screen.shown or {}).get("run_id") == second,
        )
