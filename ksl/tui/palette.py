"""Where the palette leads: to a run, a workflow, a trigger, a session, found as their names are typed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from ksl.tui import safe
from ksl.tui.client import Json, Lost, Refused
from ksl.tui.frame import Framed

if TYPE_CHECKING:
    from ksl.tui.app import KslApp

DEBOUNCE_S = 0.15
NEWEST = 100  # runs that are at hand before anything is typed
SHOWN_FIRST = 3  # of them, while nothing is typed
FOUND = 8  # runs that the server is asked for
ASKED_FROM = 3  # letters; fewer would find anything
_FOUND_SCORE = 0.2  # of what the server found in an input: below what the letters themselves match


@dataclass(frozen=True)
class Place:
    title: str
    told: str
    go: Callable[[], object]


class Places(Provider):
    """Asked for anew whenever the palette opens."""

    async def startup(self) -> None:
        self._places: list[Place] = []
        if not isinstance(self.screen, Framed):
            return  # a dialog has to be answered first
        newest, workflows, triggers, sessions = await asyncio.gather(
            self._ask("/runs", "runs", limit=NEWEST),
            self._ask("/workflows", "workflows"),
            self._ask("/triggers", "triggers"),
            self._ask("/sessions", "sessions", limit=NEWEST),
        )
        self._slugs = [str(each["slug"]) for each in workflows]
        self._runs = [self._run(each) for each in newest]
        self._places = [
            *self._runs,
            *self._listed("workflow", "workflows", workflows, "slug", "description"),
            *self._listed("trigger", "triggers", triggers, "slug", "description"),
            *self._listed("session", "sessions", sessions, "session_id", "agent"),
        ]

    async def discover(self) -> Hits:
        for place in self._places[:SHOWN_FIRST]:
            yield DiscoveryHit(Content(place.title), place.go, text=place.title, help=place.told)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        shown: set[str] = set()
        for place in self._places:
            if (score := matcher.match(place.title)) > 0:
                shown.add(place.title)
                yield Hit(score, matcher.highlight(place.title), place.go, text=place.title, help=place.told)
        if not isinstance(self.screen, Framed) or len(query.strip()) < ASKED_FROM:
            return
        await asyncio.sleep(DEBOUNCE_S)  # cancelled by the next letter
        for place in await self._found(query):
            if place.title not in shown:
                shown.add(place.title)
                score = matcher.match(place.title) or _FOUND_SCORE
                yield Hit(score, matcher.highlight(place.title), place.go, text=place.title, help=place.told)

    @property
    def _ksl(self) -> KslApp:
        return cast("KslApp", self.app)

    async def _found(self, query: str) -> list[Place]:
        """Older runs, by a part of their id or input, or by their workflow."""
        word = query.rsplit(maxsplit=1)[-1].replace('"', "").replace("\\", "")
        slugs = [slug for slug in self._slugs if word.lower() in slug]
        asked = [self._ask("/runs", "runs", q=f'"{word}"', limit=FOUND)] if word else []
        if slugs:
            asked.append(self._ask("/runs", "runs", q=f"workflow:{','.join(slugs)}", limit=FOUND))
        return [self._run(run) for runs in await asyncio.gather(*asked) for run in runs]

    async def _ask(self, path: str, name: str, **asked: str | int) -> list[Json]:
        client = self._ksl.link.client
        if client is None:
            return []
        try:
            return (await client.get(path, **asked))[name]
        except (Lost, Refused):
            return []  # what is at hand is found all the same

    def _run(self, run: Json) -> Place:
        title = f"Go to run {run['run_id']}  {safe.line(run['workflow'], 60)}"
        return Place(title, str(run["status"]), partial(self._ksl.open_run, run["run_id"]))

    def _listed(self, kind: str, tab: str, rows: list[Json], key: str, told: str) -> Iterator[Place]:
        for row in rows:
            title = f"Go to {kind} {safe.line(row[key], 80)}"
            yield Place(
                title, safe.line(row.get(told) or "", 80), partial(self._ksl.go_to, tab, str(row[key]))
            )
