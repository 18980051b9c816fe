"""Keys: none means two things on one screen, few are in the footer, and all are in the guide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Input

from ksl.build.config import load_settings
from ksl.errors import BadSetting, UnknownSetting
from ksl.tui.app import KslApp
from ksl.tui.dialogs import Ask, Choose, Fill, View
from ksl.tui.frame import TABS, Framed
from ksl.tui.help import HelpScreen, rows_of
from ksl.tui.hooks import HooksScreen
from ksl.tui.jump import LETTERS, JumpScreen
from ksl.tui.keys import classes_with_keys, keymap_of, own_bindings
from ksl.tui.keys import shown as shown_key
from ksl.tui.lines import Lines
from ksl.tui.run import RunScreen
from ksl.tui.runs import RunsScreen
from ksl.tui.session import SessionScreen
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
    SessionScreen,
    SystemScreen,
]
DIALOGS: list[type[Screen[object]]] = [Ask, Choose, Fill, View, HelpScreen]  # type: ignore[list-item]
OTHERS = {
    "Ask": "questions",
    "Choose": "choices",
    "Fill": "forms",
    "YesNo": "forms: yes or no",
    "View": "long texts",
    "HelpScreen": "this help",
    "_Typed": "the filter",
}
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
                await pilot.press(str([*TABS].index(name) + 1))
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
    lines = ["| where | key | what it does | id |", "|---|---|---|---|"]
    for where, of in [("everywhere", KslApp), ("everywhere", Framed), ("lists", Lines)]:
        lines += _rows(where, of)
    for screen in SCREENS:
        lines += _rows(screen.tab.capitalize(), screen)
    told = {KslApp, Framed, Lines, *SCREENS}
    for of in sorted(
        set(classes_with_keys()) - told, key=lambda of: [*OTHERS, of.__name__].index(of.__name__)
    ):
        lines += _rows(OTHERS.get(of.__name__, of.__name__), of)
    return "\n".join(lines)


def _rows(where: str, of: type[object]) -> list[str]:
    return [
        f"| {where} | `{' '.join(map(shown_key, binding.key.split(',')))}` | {binding.description} | `{binding.id}` |"
        for binding in bindings(of)
    ]


def test_the_guide_has_the_table_of_all_keys() -> None:
    assert table() in GUIDE.read_text(encoding="utf-8"), f"put this into {GUIDE.name}:\n{table()}"


def test_the_example_of_the_guide_is_one_that_starts(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(\[tui\.keys\].*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    (tmp_path / "ksl.toml").write_text(example[1])
    keys = load_settings(tmp_path).tui.keys
    assert len(keymap_of(keys)) == 3


def test_every_id_is_in_the_guide() -> None:
    told = GUIDE.read_text(encoding="utf-8")
    ids = {binding.id for of in classes_with_keys() for binding in own_bindings(of)}
    assert [id for id in ids if f"| `{id}` |" not in told] == []


def test_a_project_writes_its_keys_as_tables_texts_or_lists(tmp_path: Path) -> None:
    (tmp_path / "ksl.toml").write_text(
        '[tui.keys]\nruns.open = "o"\n"run.boxes" = ["b", "f5"]\napp.keys = "?, f1"\n[tui.keys.list]\ndown = ","\n'
    )
    keys = load_settings(tmp_path).tui.keys
    assert keys == {"runs.open": "o", "run.boxes": "b,f5", "app.keys": "?, f1", "list.down": ","}
    assert keymap_of(keys | {"runs.browse": "O"}) == {
        "runs.open": "o",
        "runs.browse": "O",
        "run.boxes": "b,f5",
        "app.keys": "question_mark,f1",
        "list.down": "comma",
    }


@pytest.mark.parametrize(
    "keys", ['"o"', "[1]", "{ runs = { open = 1 } }", '{ "runs.open" = "" }', '{ "runs.open" = [] }']
)
def test_what_is_no_table_of_keys_is_refused(tmp_path: Path, keys: str) -> None:
    (tmp_path / "ksl.toml").write_text(f"[tui]\nkeys = {keys}\n")
    with pytest.raises(BadSetting, match=r"tui.keys.*a table of ids with their keys"):
        load_settings(tmp_path)


def test_an_id_that_there_is_not_is_told_with_the_nearest_one() -> None:
    with pytest.raises(UnknownSetting, match=r'"runs\.opne"; the nearest is "runs\.open"'):
        keymap_of({"runs.opne": "o"})


@pytest.mark.parametrize("key", ["ctl+o", "foo", "ctrl+", "f55", "ctrl+o,,x y"])
def test_what_no_terminal_sends_is_refused(key: str) -> None:
    with pytest.raises(BadSetting, match="which is no key"):
        keymap_of({"runs.open": key})


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"runs.open": "n"}, ["Runs", "runs.open", "runs.new"]),
        ({"runs.open": "f7", "runs.new": "f7"}, ["Runs", "runs.open", "runs.new"]),
        ({"list.down": "?"}, ["list.down", "app.keys"]),
        ({"frame.back": "q"}, ["frame.back", "app.quit"]),
        ({"ask.yes": "escape"}, ["Ask", "ask.yes", "ask.no"]),
    ],
)
def test_one_key_for_two_things_is_refused_with_both_named(keys: dict[str, str], named: list[str]) -> None:
    with pytest.raises(BadSetting) as refused:
        keymap_of(keys)
    assert all(each in str(refused.value) for each in named)


def test_two_may_swap_their_keys() -> None:
    assert keymap_of({"runs.new": "r", "runs.rerun": "n"}) == {"runs.new": "r", "runs.rerun": "n"}


async def test_a_changed_key_does_what_the_old_one_did_and_the_screens_say_so(served: Served) -> None:
    await served.ended("echo", "hello")
    keys = {"runs.filter": "f6", "app.keys": "f1", "fill.send": "f9", "runs.new": "r", "runs.rerun": "n"}
    async with shown(served, keys=keys) as (app, pilot):
        await until(pilot, lambda: len(runs_of(app).rows) == 1)
        await until(pilot, lambda: "f6 Filter" in text_of(app))
        assert "/ Filter" not in text_of(app)
        await pilot.press("slash")
        assert app.focused is not None
        assert app.focused.id == "runs"
        await pilot.press("f6")
        assert isinstance(app.focused, Input)
        await pilot.press("escape", "question_mark", "f1")
        await until(pilot, lambda: "Keys here" in text_of(app))
        assert re.search(r"f1 +Keys", text_of(app))
        await pilot.press("escape", "r")
        await until(pilot, lambda: isinstance(app.screen, Choose))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Fill))
        assert "f9 start" in text_of(app)
        said = {command.help for command in app.get_system_commands(app.screen)}  # type: ignore[arg-type]
        assert "Key f9" in said


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (50, 12)])
async def test_a_letter_jumps_to_its_part_of_the_screen_and_anything_else_does_not(
    served: Served, size: tuple[int, int]
) -> None:
    run_id = (await served.ended("echo", "hello"))["run_id"]
    async with shown(served, size) as (app, pilot):
        app.open_run(run_id)
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run_json)
        screen = app.screen
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, JumpScreen))
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: app.screen is screen)
        reached = set[str | None]()
        for letter in LETTERS:
            if len(reached) > 2:
                break
            await pilot.press("ctrl+o")
            await until(pilot, lambda: isinstance(app.screen, JumpScreen))
            assert isinstance(app.screen, JumpScreen)
            assert letter not in app.screen.targets or letter in text_of(app)
            known = letter in app.screen.targets
            await pilot.press(letter)
            await until(pilot, lambda: app.screen is screen)
            if known:
                await pilot.pause()
                reached.add(app.focused.id if app.focused else None)
        assert {"canvas", "timeline", "inspect"} <= reached
