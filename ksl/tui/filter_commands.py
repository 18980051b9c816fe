"""Saved filters in the palette: keep the one at hand under a name, go to one, forget one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from ksl.tui import safe
from ksl.tui.dialogs import Ask
from ksl.tui.saved_filters import NAME_MOST, SavedFilters

if TYPE_CHECKING:
    from collections.abc import Callable

    from ksl.tui.runs import RunsScreen


class _Command(NamedTuple):
    title: str
    told: str
    act: Callable[[], object]


class FilterCommands(Provider):
    @property
    def _runs(self) -> RunsScreen:
        return cast("RunsScreen", self.screen)

    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(command.title, command.act, help=command.told)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._commands():
            if (score := matcher.match(command.title)) > 0:
                yield Hit(score, Text(command.title), command.act, help=command.told)

    def _commands(self) -> Iterator[_Command]:
        runs = self._runs
        if runs.query_text:
            yield _Command(
                "Save this filter",
                safe.line(runs.query_text, 80),
                lambda: runs.run_worker(partial(_save, runs), group="act"),
            )
        for name, text in _saved(runs).all().items():
            shown = safe.line(name, NAME_MOST)
            yield _Command(f"Filter: {shown}", safe.line(text, 80), partial(runs.filter_by, text))
            yield _Command(f"Forget the filter {shown}", safe.line(text, 80), partial(_forget, runs, name))


def _saved(runs: RunsScreen) -> SavedFilters:
    from ksl.runtime.credentials import organization_folder

    app = runs.ksl
    place = str(app.folder) if app.folder is not None else app.link.name
    return SavedFilters(place, organization_folder())


async def _save(runs: RunsScreen) -> None:
    text = runs.query_text
    question = Ask(f"Save the filter {text} under which name?", reason="name")
    name = (await runs.ksl.push_screen_wait(question) or "").strip()[:NAME_MOST]
    if not name:
        return
    try:
        _saved(runs).save(name, text)
    except (OSError, ValueError) as error:
        runs.say(f"The filter was not saved: {error}", wrong=True)
    else:
        runs.say(f"Saved the filter {name}")


def _forget(runs: RunsScreen, name: str) -> None:
    try:
        _saved(runs).forget(name)
    except (OSError, ValueError) as error:
        runs.say(f"The filter was not forgotten: {error}", wrong=True)
    else:
        runs.say(f"Forgot the filter {name}")
