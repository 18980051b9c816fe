"""What one run needs of the engine around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol

import msgspec

from ksl.errors import KslError
from ksl.log.store import Change

if TYPE_CHECKING:
    from ksl.engine.call import Call
    from ksl.engine.run import Run
    from ksl.engine.tokens import TokenKeys


class Clock(Protocol):
    def now_ms(self) -> int:
        """The wall clock, Unix milliseconds."""
        ...

    def steady_s(self) -> float:
        """Seconds that only ever grow; for measuring durations."""
        ...


class Mask(Protocol):
    """Takes secrets out of what is recorded or told. `ksl.vault` has the real one."""

    @property
    def active(self) -> bool:
        """False while no secret is known: then nothing has to be looked at."""
        ...

    def json(self, data: bytes) -> bytes:
        """JSON text, which stays JSON."""
        ...

    def text(self, text: str) -> str: ...


class NoMask:
    """Where no secret can be known."""

    active = False

    def json(self, data: bytes) -> bytes:
        return data

    def text(self, text: str) -> str:
        return text


class Limits(msgspec.Struct, frozen=True):
    payload: int = 32 << 20  # bytes of one value
    steps: int = 100_000  # recorded steps of one run


class Host(Protocol):
    clock: Clock
    rng: Random
    tokens: TokenKeys
    limits: Limits
    boot: str  # names this process in the timers it arms
    workspaces_root: Path
    mask: Mask
    stopping: bool  # nothing new is to be performed

    def append(self, run: Run, change: Change) -> None:
        """Stores a turn, and tells the run after the commit."""
        ...

    def row_stored(self, change: Change) -> None:
        """A turn that changed the run's row is stored."""
        ...

    def lost_turn(self, run: Run, change: Change, error: KslError) -> None:
        """A turn was not stored: what is in memory is ahead of the log, so it goes."""
        ...

    def perform(self, run: Run, call: Call, attempt: int) -> None: ...

    def goes_on(self, run: Run, call: Call) -> bool:
        """Whether an attempt at this step was begun by this process before the run left memory. Its outcome, if
        it is known already or when it is, comes as that of any attempt."""
        ...

    def abandon(self, run: Run, call: Call) -> None:
        """The outcome of a step in flight is no longer wanted."""
        ...

    def want_slot(self, run: Run, granted: Callable[[], None]) -> None: ...

    def release_slot(self, run: Run) -> None: ...

    def halted(self, run: Run, error: KslError) -> None: ...

    def ended(self, run: Run) -> None:
        """The run ended, or its attempt did: it leaves memory."""
        ...

    def slow(self, run: Run, took_s: float) -> None:
        """One turn of the body kept the host loop for so long."""
        ...

    def hook_url(self, token: str) -> str: ...
