"""The application: one link, one clock, the screens by their tabs, and what is the same on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from textwrap import wrap
from typing import ClassVar

from textual.app import App, ScreenStackError, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender

from ksl import __version__
from ksl.tui import safe, words
from ksl.tui.client import Lost, Refused
from ksl.tui.dialogs import View
from ksl.tui.frame import TABS, Framed, Line
from ksl.tui.help import HelpScreen
from ksl.tui.hooks import HooksScreen
from ksl.tui.in_order import InOrder
from ksl.tui.jump import JumpScreen
from ksl.tui.keys import classes_with_keys, keymap_of, keys_of, own_bindings
from ksl.tui.keys import shown as shown_key
from ksl.tui.lines import Lines
from ksl.tui.link import Change, Doors, Link
from ksl.tui.palette import Places
from ksl.tui.run import RunScreen
from ksl.tui.runs import RunsScreen
from ksl.tui.server_log import ServerLog
from ksl.tui.session import SessionScreen
from ksl.tui.sessions import SessionsScreen
from ksl.tui.starting import NotStarted, Starter
from ksl.tui.system import SystemScreen
from ksl.tui.triggers import TriggersScreen
from ksl.tui.words import NICE, PLAIN
from ksl.tui.workflows import WorkflowsScreen

COUNTED_S = 1.0  # the figures in the tabs are asked for once a second at most


class _PlainScrollBar(ScrollBarRender):
    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8
    BLANK_GLYPH: ClassVar[str] = " "


class KslApp(InOrder):
    TITLE = "ksl"
    CSS_PATH = Path(__file__).with_name("ksl.tcss")
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = App.COMMANDS | {Places}
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {
        "runs": RunsScreen,
        "hooks": HooksScreen,
        "triggers": TriggersScreen,
        "workflows": WorkflowsScreen,
        "sessions": SessionsScreen,
        "system": SystemScreen,
    }
    DEFAULT_MODE = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "keys", "Keys", key_display="?", id="app.keys"),
        Binding("q", "quit", "Quit", show=False, id="app.quit"),
        *(
            Binding(str(place), f"tab('{name}')", f"Go to {name}", show=False, id=f"app.{name}")
            for place, name in enumerate(TABS, 1)
        ),
        Binding("ctrl+p", "command_palette", "Palette", show=False, priority=True, id="app.palette"),
        Binding("ctrl+o", "jump", "Jump to a part of the screen", show=False, priority=True, id="app.jump"),
        Binding("S", "serve", "Start the server", show=False, id="app.serve"),
        Binding("ctrl+l", "redraw", "Draw the screen anew", show=False, id="app.redraw"),
    ]

    def __init__(
        self,
        doors: Doors,
        *,
        ascii: bool = False,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        log: ServerLog | None = None,
        folder: Path | None = None,
        keys: Mapping[str, str] | None = None,
        starter: Starter | None = None,
    ) -> None:
        """`log`: of the server that is run beside, else the server is asked for its own. `folder`: the project's, where
        it is on this machine; files are opened in an editor from there. `keys`: the setting `tui.keys`.
        `starter`: where a server can be started from here.

        Errors: UnknownSetting, BadSetting.
        """
        super().__init__()
        self.starter = starter
        self._is_starting = False
        self._keys = keymap_of(keys or {})
        self.set_keymap(self._keys)
        self.look = PLAIN if ascii else NICE
        self.now_ms = now_ms
        self.folder = folder
        self.log_of_server = log or ServerLog()
        self.hears_server = log is not None
        self.link = Link(doors, changed=self._changed, told=self.tell, heard=self._heard)
        self.counts: dict[str, str] = {}
        self._key_of: dict[str, str] = {}
        self.newest_run: str | None = None  # the one that was last looked at
        self._counted_at = 0.0
        self._recount = False
        # Of the whole process, as Textual has it: there is one app in it.
        Lines.plain = Line.plain = ascii
        self.set_class(ascii, "ascii")
        ScrollBar.renderer = _PlainScrollBar if ascii else ScrollBarRender

    async def on_mount(self) -> None:
        self.animation_level = "none"
        self.run_worker(self.link.run, group="link")
        self.set_interval(1.0, self._second)
        self.set_interval(0.25, self._count_again)

    # what the frame shows

    def tab_label(self, place: int, name: str, *, short: bool) -> str:
        shown = TABS[name] if short else name.capitalize()
        figure = self.counts.get(name, "")
        return f"{place} {shown} {figure}".rstrip()

    def banner(self) -> str:
        match self.link.state:
            case "stored":
                return f"{self._stopped()}: showing the database, read-only. {self._how_to_start()}"
            case "lost":
                where = self.link.name or "the server"
                return f"lost {where}, retry in {self.link.retry_in_s} s"
            case "searching" if self._is_starting:
                return "ksl serve is being started"
            case "searching":
                can_start = self.starter is not None and self.link.why.endswith("ksl serve")
                return safe.line(self.link.why, 500) + (f"  {self._how_to_start()}" if can_start else "")
            case "live":
                return ""

    def _stopped(self) -> str:
        stopped = self.starter.stopped() if self.starter is not None else None
        if self._is_starting or stopped is None:
            return "no engine runs"
        ago = words.ago(stopped.at_ms, self.now_ms())
        return f"engine stopped {ago}" if stopped.in_order else f"engine died, {ago} or later"

    def _how_to_start(self) -> str:
        if self._is_starting:
            return "ksl serve is being started"
        if self.starter is None:
            return "Start it with: ksl serve"
        return f"{self.key_of('app.serve')} starts it."

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "serve":
            return self.starter is not None and self.link.state in ("stored", "searching")
        return super().check_action(action, parameters)

    def action_serve(self) -> None:
        if not self._is_starting:
            self._is_starting = True
            self.tell()
            self.run_worker(self._serve, group="serve")

    async def _serve(self) -> None:
        assert self.starter is not None
        try:
            said = await self.starter.start()
        except NotStarted as error:
            width = max(self.size.width * 9 // 10 - 6, 20)
            text = [each for line in (str(error), "", *error.last) for each in wrap(line, width) or [""]]
            self.push_screen(View("ksl serve did not start", "\n".join(text)))
        else:
            self.notify(safe.line(said, 600), timeout=30, markup=False)
            self.link.look()
        finally:
            self._is_starting = False
            self.tell()

    def status(self) -> str:
        link, dot = self.link, self.look.bullet
        match link.state:
            case "live":
                state = f"{dot} live  {link.name}"
            case "stored":
                state = f"{self.look.states['queued']} no server"
            case "lost":
                state = f"{self.look.states['failed']} lost  {safe.line(link.why, 60)}"
            case "searching":
                state = f"connecting  {safe.line(link.why, 60)}".rstrip()
        return f" {state}   ksl {__version__}"

    def tell(self) -> None:
        if (front := self._front) is not None:
            front.tell()

    @property
    def _front(self) -> Framed | None:
        """The screen in front, where it can be written on: none while the app begins or ends."""
        try:
            screen = self.screen
        except ScreenStackError:
            return None
        return screen if isinstance(screen, Framed) and screen.alive else None

    def _stack(self) -> list[Screen[object]]:
        try:
            return [*self.screen_stack]
        except (ScreenStackError, KeyError):
            return []

    def get_key_display(self, binding: Binding) -> str:
        shown = super().get_key_display(binding)
        return shown if shown.isascii() or not self.look.ascii else binding.key

    def key_of(self, id: str) -> str:
        """The key of a binding as it is now, for a text that names it."""
        if id not in self._key_of:
            bindings = (each for of in classes_with_keys() for each in own_bindings(of))
            self._key_of |= {each.id: shown_key(keys_of(each, self._keys)[0]) for each in bindings if each.id}
        return self._key_of[id]

    # what happens

    def _changed(self, changes: list[Change]) -> None:
        self._recount = True
        for screen in self._stack():
            if isinstance(screen, Framed) and screen.alive:
                screen.changes(changes)

    def _heard(self) -> None:
        if isinstance(front := self._front, SessionScreen):
            front.heard()

    def _second(self) -> None:
        if self.link.state == "stored":
            self.tell()  # how long it has been so
        if (front := self._front) is not None:
            front.second()

    def _count_again(self) -> None:
        now = time.monotonic()
        if self._recount and now - self._counted_at >= COUNTED_S:
            self._recount, self._counted_at = False, now
            self.run_worker(self._count, group="count", exclusive=True)

    async def _count(self) -> None:
        if (client := self.link.client) is None:
            return
        try:
            runs = await client.get("/runs", limit=1, count="true")
            hooks = await client.get("/hooks")
        except (Lost, Refused):
            return
        counted = runs["count"]
        self.counts["runs"] = f"{counted['runs']:,}" if counted["exact"] else "10k+"
        self.counts["hooks"] = str(len(hooks["hooks"]))
        self.tell()

    # what a person asks for

    def action_tab(self, name: str) -> None:
        if name == "run":
            if isinstance(self.screen, RunScreen):
                return
            if self.newest_run is None:
                self.notify("No run was opened yet: choose one in Runs.", markup=False)
                return
            self.open_run(self.newest_run)
            return
        self.switch_mode(name)
        # a tab leads to its own screen, not to a run that was opened from it
        while isinstance(self.screen, RunScreen | SessionScreen):
            self.pop_screen()

    def open_run(self, run_id: str) -> None:
        self.newest_run = run_id
        if isinstance(self.screen, RunScreen):
            self.pop_screen()
        self.push_screen(RunScreen(run_id))

    def go_to(self, tab: str, key: str) -> None:
        """To what is called so in the list of a tab."""
        self.action_tab(tab)
        if isinstance(self.screen, Framed):
            self.screen.want(key)

    def answer(self, run_id: str) -> None:
        """Goes to the inbox, to what a run waits for."""
        self.action_tab("hooks")
        if isinstance(self.screen, HooksScreen):
            self.screen.choose_run(run_id)

    def browse(self, path: str) -> None:
        client = self.link.client
        if client is None or client.door.read_only:
            self.notify("No server runs, so there is no page to open.", markup=False)
        else:
            self.open_url(client.door.url.rstrip("/") + path)

    def action_keys(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="what to do, or where to go", id="--command-palette"))

    def action_jump(self) -> None:
        if not isinstance(self.screen, JumpScreen):
            self.push_screen(JumpScreen(self.screen))

    def action_redraw(self) -> None:
        self.refresh(repaint=True, layout=True)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Everything that a key does here, and the themes."""
        yield SystemCommand("Theme", "Choose other colours", self.action_change_theme)
        told: set[str] = set()
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.description and binding.id and binding.id not in told and not binding.system:
                told.add(binding.id)
                action, node = binding.action, active.node

                async def act(action: str = action, node: object = node) -> None:
                    await self.run_action(action, node)  # type: ignore[arg-type]

                yield SystemCommand(binding.description, f"Key {self.get_key_display(binding)}", act)
