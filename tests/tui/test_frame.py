"""The lines around every screen, in terminals of different widths."""

from __future__ import annotations

from tests.integration.api.serving import Served
from tests.tui.app import shown, text_of, until
from tests.tui.project import lived


def tabs_of(text: str) -> str:
    return text.splitlines()[0]


async def test_every_tab_is_in_the_line_however_wide_the_terminal_has_become(served: Served) -> None:
    async with shown(served, (120, 40)) as (app, pilot):
        await until(pilot, lambda: "3 Hooks 0" in tabs_of(text_of(app)))
        for width, names in (
            (80, "1 Runs 0 2 Run 3 Hooks 0 4 Triggers 5 Workflows 6 Sessions 7 System"),
            (60, "1 Runs 0 2 Run 3 Hooks 0 4 Trig 5 Flows 6 Sess 7 Sys"),
            (120, "1 Runs 0   2 Run   3 Hooks 0   4 Triggers   5 Workflows   6 Sessions   7 System"),
        ):
            await pilot.resize_terminal(width, 40)
            await until(pilot, lambda names=names: tabs_of(text_of(app)).strip() == names)


async def test_a_heading_without_room_says_that_it_is_cut(served: Served) -> None:
    made = await lived(served)
    async with shown(served, (66, 24)) as (app, pilot):
        app.open_run(made["failed"])
        await until(pilot, lambda: any(made["failed"] in line for line in text_of(app).splitlines()))
        await until(pilot, lambda: text_of(app).splitlines()[1].endswith("…"))
