"""What models are saying at the moment, for whoever watches. It is in memory alone and never stored: the turn that is
recorded when the model has ended is the only copy that lasts.

Nothing waits for a reader and nothing is kept for one. Each turn that is being said has its text once; a listener knows
how much of it it has given, so one that comes late gets all so far, and a slow one gets more at a time, or misses the
end of a turn that is recorded by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from ksl.records.moment import rfc3339
from ksl.vault.redactor import Redactor

Json = dict[str, Any]
TEXT_MAX = 1_000_000  # characters of a turn that are told; the recorded turn has them all


class Utterance:
    """The text of one attempt at a turn, as far as it has come. `agent.services.Telling`."""

    def __init__(self, speech: Speech, run_id: str, step: str, session_id: str | None, attempt: int) -> None:
        self.run_id = run_id
        self.step = step
        self.session_id = session_id
        self.attempt = attempt
        self._speech = speech
        self._new: list[str] = []  # as it came
        self._held = ""  # what may be the beginning of a secret
        self._told = ""  # masked
        self._length = 0
        self.at_ms = speech.now_ms()

    def add(self, piece: str) -> None:
        room = TEXT_MAX - self._length
        if not piece or room <= 0:
            return
        self._new.append(piece[:room])
        self._length += min(len(piece), room)
        self.at_ms = self._speech.now_ms()
        self._speech.heard(self)

    @property
    def text(self) -> str:
        """Without the secrets that are known. It only ever grows."""
        if self._new:
            redactor = self._speech.redactor
            raw = self._held + "".join(self._new)
            self._new.clear()
            whole = redactor.whole_length(raw) if redactor.active else len(raw)
            self._held = raw[whole:]
            self._told += redactor.text(raw[:whole]) if redactor.active else raw
        return self._told

    def json(self, given: int) -> Json:
        """What has come since so many characters of it were given. `offset` 0 begins the turn, anew where there was an
        attempt before."""
        return {
            "type": "text",
            "run_id": self.run_id,
            "step": f"step:{self.step}",
            "session_id": self.session_id,
            "attempt": self.attempt,
            "offset": given,
            "delta": self.text[given:],
            "at": rfc3339(self.at_ms),
        }


class Listener:
    """Of one run, of one session or of all. `heard` is set when there may be news."""

    def __init__(self, speech: Speech, run_id: str | None, session_id: str | None) -> None:
        self.heard = asyncio.Event()
        self.run_id = run_id
        self.session_id = session_id
        self._speech = speech
        self._given: dict[Utterance, int] = {}

    def news(self) -> list[Json]:
        """All that is being said and was not given yet."""
        self.heard.clear()
        news: list[Json] = []
        given: dict[Utterance, int] = {}  # without those that have ended
        for utterance in self._speech.of(self.run_id):
            if self.session_id not in (None, utterance.session_id):
                continue
            before = self._given.get(utterance)
            length = given[utterance] = len(utterance.text)
            if before is None or length > before:
                news.append(utterance.json(before or 0))
        self._given = given
        return news


class Speech:
    def __init__(self, redactor: Redactor, now_ms: Callable[[], int]) -> None:
        self.redactor = redactor
        self.now_ms = now_ms
        self._said: dict[str, dict[str, Utterance]] = {}  # by run and step
        self._listeners: dict[str | None, set[Listener]] = {}

    @contextmanager
    def telling(self, run_id: str, step: str, session_id: str | None, attempt: int) -> Generator[Utterance]:
        """While a turn is being made. When it has ended, well or not, nothing is left of it here."""
        utterance = Utterance(self, run_id, step, session_id, attempt)
        of_run = self._said.setdefault(run_id, {})
        of_run[step] = utterance
        self.heard(utterance)
        try:
            yield utterance
        finally:
            if of_run.get(step) is utterance:
                del of_run[step]
                if not of_run and self._said.get(run_id) is of_run:
                    del self._said[run_id]

    @contextmanager
    def listening(self, run_id: str | None = None, *, session_id: str | None = None) -> Generator[Listener]:
        """To one run, to one session, or to all."""
        listener = Listener(self, run_id, session_id)
        if self.of(run_id):
            listener.heard.set()
        self._listeners.setdefault(run_id, set()).add(listener)
        try:
            yield listener
        finally:
            listeners = self._listeners[run_id]
            listeners.discard(listener)
            if not listeners:
                del self._listeners[run_id]

    def of(self, run_id: str | None) -> list[Utterance]:
        if run_id is not None:
            return list(self._said.get(run_id, {}).values())
        return [utterance for of_run in self._said.values() for utterance in of_run.values()]

    def heard(self, utterance: Utterance) -> None:
        if self._listeners:
            for listener in self._listeners.get(utterance.run_id, ()):
                listener.heard.set()
            for listener in self._listeners.get(None, ()):
                if listener.session_id in (None, utterance.session_id):
                    listener.heard.set()
