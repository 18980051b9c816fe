"""Keys have their effect one after the other, however fast they are typed.

Textual hands a key to the widget that has the focus at that moment, and most keys act only when they have bubbled up
from there: of `tab` and a letter that come at once, the letter goes to the field that `tab` is about to leave, and a
key behind one that opens a form goes to the list behind it. Here the next key is handed on when the one before has had
its effect.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from types import TracebackType
from typing import TypeVar

from textual import events
from textual.app import App, ScreenStackError
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

T = TypeVar("T")

ROUNDS = 2  # a key's way up to the app, and that of what it set off
LOST_S = 0.25  # whoever had the key is gone, and so is what followed it
HELD_S = 2.0  # keys are not kept for a server that does not answer
LOOK_S = 0.01
_AT_ONCE = ("ctrl+q", "ctrl+c")


class Followed(Message):
    """Follows a key on its way: where this arrives, the key has been."""

    def __init__(self, number: int, rounds: int) -> None:
        super().__init__()
        self.number = number
        self.rounds = rounds


class Hold:
    """While it is taken keys wait for what is about to be shown. Inside `with` until the end of that."""

    def __init__(self, app: InOrder) -> None:
        self._app = app
        self._timer: Timer | None = None
        self.take()

    def take(self) -> None:
        if self._timer is None:
            self._timer = self._app.set_timer(HELD_S, self.release)
            self._app.held += 1

    def release(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
            self._app.held -= 1
            self._app.call_later(self._app.type_next)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.release()


class InOrder(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.held = 0
        self._typed: deque[events.Key | events.Paste] = deque()
        self._number = 0  # of the newest key that was handed on
        self._is_under_way = False
        self._lost: Timer | None = None

    def hold_keys(self) -> Hold:
        return Hold(self)

    async def ask(self, dialog: Screen[T], hold: Hold) -> T | None:
        """What a dialog is answered with. `hold` is released when it is shown, and taken anew with the answer."""
        answered: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()

        def take(answer: T | None) -> None:
            hold.take()
            answered.set_result(answer)

        await self.push_screen(dialog, take)
        hold.release()
        return await answered

    async def on_event(self, event: events.Event) -> None:
        is_typed = isinstance(event, events.Key | events.Paste) and not event.is_forwarded
        if not is_typed or (isinstance(event, events.Key) and event.key in _AT_ONCE):
            await super().on_event(event)
            return
        assert isinstance(event, events.Key | events.Paste)
        self._typed.append(event)
        await self.type_next()

    async def type_next(self) -> None:
        if self._is_under_way or self.held or not self._typed:
            return
        if not self._is_shown():
            self.set_timer(LOOK_S, self.type_next)
            return
        self._is_under_way = True
        event = self._typed.popleft()
        try:
            await super().on_event(event)
        finally:
            self._number += 1
            self._follow(ROUNDS)

    def _is_shown(self) -> bool:
        """Whether the screen in front can take keys."""
        try:
            return self.screen.is_mounted
        except ScreenStackError:
            return True

    def _follow(self, rounds: int) -> None:
        number = self._number
        if self._lost is not None:
            self._lost.stop()
        self._lost = self.set_timer(LOST_S, partial(self._at_rest, number))
        try:
            target = self.focused or self.screen
        except ScreenStackError:
            return
        target.post_message(Followed(number, rounds - 1))

    async def on_followed(self, message: Followed) -> None:
        if message.number == self._number:
            if message.rounds:
                self._follow(message.rounds)
            else:
                await self._at_rest(message.number)

    async def _at_rest(self, number: int) -> None:
        if number == self._number:
            if self._lost is not None:
                self._lost.stop()
                self._lost = None
            self._is_under_way = False
            await self.type_next()
