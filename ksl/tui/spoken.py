"""What models are saying now, as far as it was told: put together from pieces, and forgotten when it is recorded."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

SAID_MAX = 500  # turns at once that are kept; of more, the newest


class Said(msgspec.Struct):
    """A piece. `offset` is how many characters of the turn came before it; 0 begins it, anew or for the first time."""

    run_id: str
    step: str
    session_id: str | None
    attempt: int
    offset: int
    delta: str


class Turn:
    def __init__(self, said: Said) -> None:
        self.run_id = said.run_id
        self.step = said.step
        self.session_id = said.session_id
        self.attempt = said.attempt
        self._pieces: list[str] = []
        self._length = 0

    def add(self, said: Said) -> None:
        if said.offset == self._length:
            self._pieces.append(said.delta)
            self._length += len(said.delta)

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


class Spoken:
    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], Turn] = {}

    def take(self, said: Said) -> None:
        key = (said.run_id, said.step)
        if said.offset == 0:
            self._turns.pop(key, None)
            self._turns[key] = Turn(said)
            if len(self._turns) > SAID_MAX:
                del self._turns[next(iter(self._turns))]
        if (turn := self._turns.get(key)) is not None:
            turn.add(said)

    def happened(self, run_id: str, type: str, step: str | None) -> None:
        """An event was stored: a turn that it ends is recorded, or begins anew."""
        if not self._turns:
            return
        if step is not None:
            if type != "step_started":
                self._turns.pop((run_id, step), None)
        elif type in ("run_completed", "run_failed", "run_cancelled", "run_held"):
            for key in [key for key in self._turns if key[0] == run_id]:
                del self._turns[key]

    def clear(self) -> None:
        self._turns.clear()

    def of_session(self, session_id: str) -> Iterator[Turn]:
        return (turn for turn in self._turns.values() if turn.session_id == session_id)
