"""Keys: none means two things on one screen, few are in the footer, and all are in the guide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.screen import Screen

from ksl.tui.app import KslApp
from ksl.tui.dialogs import Ask, Choose, Fill, View
from ksl.tui.frame import TABS, Framed
from ksl.tui.help import HelpScreen, key_name, rows_of
from ksl.tui.hooks import HooksScreen
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen
from ksl.tui.runs import RunsScreen
from ksl.tui.sessions import SessionsScreen
from ksl.tui.system import SystemScreen
from ksl.tui.triggers import TriggersScreen
from ksl.tui.workflows import WorkflowsScreen

from tests.integration.api.serving import Served
from tests.tui.app import runs_of, shown, text_of, until

SCREENS: list[type[Framed]] = [
    RunsScreen,
    RunScreen,
    HooksScreen,
    TriggersScreen,
    WorkflowsScreen,
    SessionsScreen,
    SystemScreen,
]
DIALOGS: list[type[Screen[object]]] = [Ask, Choose, Fill, View, HelpScreen]  # type: ignore[list-item]
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "tui.md"


def bindings(of: type[object]) -> list[Binding]:
    return [each for each in vars(of).get("BINDINGS", []) if isinstance(each, Binding)]


def keys(of: type[object]) -> list[str]:
    return [key for binding in bindings(of) for key in binding.key.split(",")]


@pytest.mark.parametrize("screen", SCREENS)
def test_no_key_means_two_things_where_it_works(screen: type[Framed]) -> None:
    everywhere = [*keys(KslApp), *keys(Framed)]
    here = keys(screen)
    assert len(here) == len(set(here))
    assert not set(here) & set(everywhere)
    assert not set(here) & set(keys(Lines))
    assert not set(everywhere) & set(keys(Lines))


@pytest.mark.parametrize("of", [KslApp, Framed, Lines, *SCREENS, *DIALOGS])
def test_every_binding_has_an_id_and_an_action_of_its_own(of: type[object]) -> None:
    ids = [binding.id for binding in bindings(of)]
    actions = [binding.action for binding in bindings(of)]
    assert None not in ids
    assert len(ids) == len(set(ids))
    assert len(actions) == len(set(actions))


@pytest.mark.parametrize("screen", SCREENS)
def test_the_footer_has_eight_keys_at_most(screen: type[Framed]) -> None:
    assert sum(binding.show for binding in [*bindings(screen), *bindings(KslApp)]) <= 8


async def test_the_palette_has_everything_that_a_key_does_and_the_help_shows_it(served: Served) -> None:
    async with shown(served) as (app, pilot):
        for name in TABS:
            if name != "run":
                await pilot.press(str(TABS.index(name) + 1))
                await until(pilot, lambda name=name: getattr(app.screen, "tab", "") == name)  # type: ignore[misc]
            said = {command.title for command in app.get_system_commands(app.screen)}  # type: ignore[arg-type]
            wanted = {binding.description for binding in bindings(type(app.screen)) if binding.description}
            assert wanted <= said
            assert wanted <= {description for _, description in rows_of(app.screen)}  # type: ignore[arg-type]


async def test_the_question_mark_shows_the_keys_and_leaves_again(served: Served) -> None:
    async with shown(served) as (app, pilot):
        await until(pilot, lambda: runs_of(app).loaded)
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys here" in text_of(app))
        assert re.search(r"f +Follow", text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))


def table() -> str:
    """The keys as the guide has them."""
    lines = ["| where | key | what it does |", "|---|---|---|"]
    for where, of in [("everywhere", KslApp), ("everywhere", Framed), ("lists", Lines)]:
        lines += _rows(where, of)
    for screen in SCREENS:
        lines += _rows(screen.tab.capitalize(), screen)
    return "\n".join(lines)


def _rows(where: str, of: type[object]) -> list[str]:
    return [
        f"| {where} | `{binding.key_display or key_name(binding.key)}` | {binding.description} |"
        for binding in bindings(of)
    ]


def test_the_guide_has_the_table_of_all_keys() -> None:
    assert table() in GUIDE.read_text(encoding="utf-8"), f"put this into {GUIDE.name}:\n{table()}"
