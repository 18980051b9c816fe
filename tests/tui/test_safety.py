"""Data that would be markup, commands to the terminal, or too much for it."""

from __future__ import annotations

import unicodedata

import pytest

from ksl.tui import safe
from ksl.tui.run import RunScreen

from tests.integration.api.serving import Served
from tests.tui.app import runs_of, shown, text_of, until

NASTY = [
    "[bold red]loud[/] [link=http://example.org]x[/link] [@click=app.quit]y[/]",
    "\x1b[2J\x1b]0;title\x07\x1b[31mred\x9b1m",
    "\u202eevil\u202c \u2066isolated\u2069 שלום مرحبا",
    "日本語の長い名前 🧑‍🚀👍🏽 e\u0301\u0301\u0301",
    "a\rb\x08c\x00d\x7fe\u2028f",
    "[/unbalanced [",
]


def is_fit(text: str) -> bool:
    """No control character, no format character: nothing that a terminal obeys or that turns text around."""
    return all(
        unicodedata.category(letter) not in ("Cc", "Cf", "Zl", "Zp", "Cs")
        for letter in text.replace("\n", "")
    )


@pytest.mark.parametrize("text", NASTY)
def test_a_line_has_nothing_that_a_terminal_obeys(text: str) -> None:
    assert is_fit(safe.line(text))
    assert all(map(is_fit, safe.lines(text)))


@pytest.mark.parametrize("text", NASTY)
async def test_it_is_shown_as_it_is_written_on_every_screen(served: Served, text: str) -> None:
    run_id = (await served.ended("echo", text))["run_id"]
    await served.asked("refund-approval", {"id": text})
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 2)
        assert is_fit(text_of(app))
        app.open_run(run_id)
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
        for _ in range(8):
            await pilot.press("right_square_bracket")
            await pilot.pause()
            assert is_fit(text_of(app))
        await pilot.press("escape", "3")
        await until(pilot, lambda: "asks: Ada" in text_of(app))
        assert is_fit(text_of(app))


async def test_markup_is_text(served: Served) -> None:
    run_id = (await served.ended("echo", NASTY[0]))["run_id"]
    async with shown(served) as (app, pilot):
        app.open_run(run_id)
        await until(pilot, lambda: "[bold red]loud[/] [link=http://example.org]x[/link]" in text_of(app))


async def test_a_megabyte_is_cut(served: Served) -> None:
    run_id = (await served.ended("echo", "x" * 1_000_000))["run_id"]
    async with shown(served) as (app, pilot):
        app.open_run(run_id)
        await until(pilot, lambda: "more lines: enter shows all" in text_of(app) or "x" * 40 in text_of(app))
        assert isinstance(app.screen, RunScreen)
        app.screen.inspector.tab = "events"
        app.screen.reload()
        await until(pilot, lambda: "run_completed" in text_of(app))


def test_a_line_is_cut_to_its_cells_and_wide_letters_take_two() -> None:
    assert safe.line("日本語", 5) == "日本…"
    assert safe.padded("日本", 6) == "日本  "
    assert len(safe.line("x" * 1_000_000)) == safe.LINE_MAX + 1
