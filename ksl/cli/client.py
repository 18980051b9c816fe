"""What a command may ask, whoever answers: a running server, an engine in here, or the store alone.

Every answer is JSON-ready, in the shapes of the HTTP API. Errors are `KslError`s with the same codes and the
same text from each implementation; `ksl.cli.connect` chooses among them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ksl.cli.output import Json

if TYPE_CHECKING:
    from ksl.engine.many import Verb

ENDED = frozenset({"succeeded", "failed", "cancelled"})
NOTHING: frozenset[str] = frozenset()
TOKEN_LENGTH = 43  # a token may begin with anything, even like a run's id


@dataclass(frozen=True)
class Begun:
    run_id: str
    status: str
    created: bool  # False: the idempotency key was used before, and this is that run


@dataclass(frozen=True)
class HookTarget:
    """A hook, by its token or by its run (`step` None: the only one that waits)."""

    token: str | None
    run_id: str | None
    step: str | None


def hook_target(target: str, step: str | None) -> HookTarget:
    if target.startswith("run_") and len(target) != TOKEN_LENGTH:
        return HookTarget(None, target, step.removeprefix("step:") if step else None)
    # A pasted link is as good as the token in it.
    token = target.partition("?")[0].rstrip("/").rpartition("/hooks/")[2]
    return HookTarget(token, None, None)


@dataclass(frozen=True)
class Which:
    """Runs by filter, as flags and queries have it. None: whichever."""

    workflow: str | None
    status: str | None
    since: str | None


class Reader(Protocol):
    # Whether runs go on after this command: a server is there to advance them.
    carries_on: bool

    async def workflows(self) -> Json: ...

    async def run(self, run_id: str, *, include: frozenset[str] = NOTHING) -> Json: ...

    async def runs(
        self,
        *,
        workflow: str | None,
        status: str | None,
        since: str | None,
        query: str | None,
        limit: int,
        cursor: str | None,
    ) -> Json:
        """One page: `{"runs": [...], "next_cursor"}`."""
        ...

    async def canvas(self, slug: str, *, run_id: str, expand: bool) -> Json:
        """Of the code that the run was started with, lit by it."""
        ...

    async def events(self, run_id: str, *, after: int = 0) -> Json:
        """One page, ascending: `{"events": [...], "next_cursor"}`."""
        ...

    async def position(self, run_id: str, seq: int | None) -> Json:
        """Where the body stood after an event; after the newest where `seq` is None."""
        ...

    def follow(self, run_id: str, *, text: bool = False) -> AsyncIterator[Json]:
        """The run's events from the first on, each once; ends with the run, or when nobody advances it. With `text`
        also what models say meanwhile: `{"type": "text", "step", "offset", "delta", ...}`, which is in no history."""
        ...

    async def hooks(self, *, run_id: str | None = None) -> Json: ...

    async def matching(self, verb: Verb, which: Which) -> Json:
        """How many runs `verb` would change: `{"matched", "since", ...}`."""
        ...


class Client(Reader, Protocol):
    async def start(self, workflow: str, input: bytes, *, idempotency_key: str | None, detach: bool) -> Begun:
        """Returns once the run is stored. `detach`: nobody will stay with it."""
        ...

    async def settled(self, run_id: str, enough: Callable[[Json], bool]) -> Json:
        """The run, as soon as `enough` says so of it: at once or after a change. Safe to cancel."""
        ...

    async def cancel(self, run_id: str, *, reason: str, force: bool) -> None: ...

    async def retry(self, run_id: str) -> None: ...

    async def pause(self, run_id: str, *, reason: str) -> None: ...

    async def release(self, run_id: str, *, accept_drift: bool) -> None: ...

    async def wake(self, run_id: str, step: str | None) -> None:
        """`step` None: the only sleep of the run that waits."""
        ...

    async def fork(self, run_id: str, *, at: str, changes: dict[str, bytes], input: bytes | None) -> Json:
        """The new run: `{"run_id", "status"}`. `changes` maps step ids to JSON text."""
        ...

    async def change_many(
        self, verb: Verb, which: Which, options: Json, *, confirm: int, cursor: str | None
    ) -> Json:
        """One page of them, at most `confirm` runs: `{"changed", "errors", "next_cursor", ...}`. `options` are
        what the verb takes for one run: `reason`, `force`, `accept_drift`."""
        ...

    async def resume(self, target: HookTarget, payload: bytes) -> Json:
        """What became of the hook; with `run_id` where that may be known: a token alone does not tell."""
        ...

    async def reject(self, target: HookTarget, reason: str) -> Json: ...
