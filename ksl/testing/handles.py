"""A run of an environment, and a hook of it, as a test holds them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ksl.define.workflow import Workflow
from ksl.records import FINISHED, HookRow, RunRow, RunStatus
from ksl.testing.machine import Machine, at_once
from ksl.testing.shown import EventView, Failure, Shown, Waiting, event_view, failure_of, waiting_of
from ksl.views.hooks import hook_json

if TYPE_CHECKING:
    from ksl.engine.logs import Line

O = TypeVar("O")  # noqa: E741


class RunFailed(AssertionError):
    """The result was asked of a run that failed, was cancelled or is held. `error` says why, where it is known."""

    def __init__(self, message: str, *, run_id: str, status: RunStatus, error: Failure | None) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.status = status
        self.error = error


class RunNotEnded(AssertionError):
    """The result was asked of a run that waits for something that no passing of time brings."""


class DoesNotReplay(AssertionError):
    """A run that was dropped from memory at a wait could not be replayed from its history."""


class WaitingHook(Shown):
    """A hook that takes an answer; the JSON of `GET /hooks`, with the fields as attributes."""

    token: str

    @property
    def run_id(self) -> str:
        return self["run_id"]

    @property
    def step(self) -> str:
        """The bare id."""
        return self["step"]

    @property
    def name(self) -> str | None:
        return self["name"]

    @property
    def title(self) -> str | None:
        return self["title"]

    @property
    def details(self) -> Any:
        return self["details"]

    @property
    def schema(self) -> Any:
        """JSON Schema of the payload."""
        return self["schema"]

    @property
    def expires_at(self) -> str | None:
        return self["expires_at"]

    @property
    def resume_url(self) -> str:
        return self["url"]


class RunHandle(Generic[O]):
    """What it says is how the run stands in the log now; nothing of it is a copy from when it was started."""

    def __init__(
        self,
        machine: Machine,
        workflow: Workflow[Any, O],
        run_id: str,
        *,
        pass_until: Callable[[int], Awaitable[None]],
    ) -> None:
        self._machine = machine
        self._pass_until = pass_until
        self.workflow = workflow
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"<run {self.run_id} of {self.workflow.slug}: {self.status.value}>"

    @property
    def row(self) -> RunRow:
        row = at_once(self._machine.store.run(self.run_id))
        assert row is not None
        return row

    @property
    def status(self) -> RunStatus:
        """Equal to its name: "running", "sleeping", "waiting", "held", "succeeded" ..."""
        return self.row.status

    @property
    def attempt(self) -> int:
        return self.row.attempt

    @property
    def hooks(self) -> list[WaitingHook]:
        """Those that take an answer, oldest first."""
        rows = at_once(self._machine.store.hooks(run_id=self.run_id, only_open=True))
        return [waiting_hook(self._machine, row) for row in rows]

    @property
    def waiting_on(self) -> list[Waiting]:
        return waiting_of(self.row)

    @property
    def events(self) -> list[EventView]:
        return [event_view(event) for event in at_once(self._machine.store.events(self.run_id))]

    @property
    def error(self) -> Failure | None:
        """Of a run that failed or is held."""
        return failure_of(at_once(self._machine.store.events(self.run_id)))

    @property
    def output(self) -> O | None:
        """Of a run that succeeded: as its return annotation reads it back."""
        if self.status is not RunStatus.SUCCEEDED:
            return None
        return self.workflow.output.decode(
            at_once(self._machine.store.events(self.run_id))[-1].data or b"null"
        )

    @property
    def logs(self) -> list[Line]:
        return self._machine.runtime.logs(self.run_id)

    async def result(self) -> O:
        """The output. Lets as much time pass as the run sleeps, backs off and times out.

        Errors: RunFailed; RunNotEnded where only an answer to a hook can end it.
        """
        await self.end()
        row = self.row
        if row.status is not RunStatus.SUCCEEDED:
            error = self.error
            why = "" if error is None else f": {error}"
            raise RunFailed(
                f"{self!r} has no result{why}", run_id=self.run_id, status=row.status, error=error
            )
        return self.output  # pyright: ignore[reportReturnType]  # its type may well hold None

    def __await__(self) -> Generator[Any, Any, O]:
        return self.result().__await__()

    async def end(self) -> None:
        """Lets time pass until the run has ended or is held. Errors: RunNotEnded."""
        await self._machine.settle()
        while (row := self.row).status not in FINISHED and row.status is not RunStatus.HELD:
            await self._pass_until(self.next_ms())

    def next_ms(self) -> int:
        """The next moment that is due for this run, Unix milliseconds. Errors: RunNotEnded."""
        row = self.row
        in_line = (
            row.status is RunStatus.QUEUED and row.due_ms is None
        )  # behind other runs: their time counts
        due_ms = self._machine.next_ms(None if in_line else self.run_id)
        if due_ms is None:
            raise RunNotEnded(self._stuck())
        return due_ms

    def _stuck(self) -> str:
        open_hooks = ", ".join(
            f"{hook.step} ({hook.name or hook.title})" if hook.name or hook.title else hook.step
            for hook in self.hooks
        )
        waits = f"it waits for an answer to {open_hooks}" if open_hooks else "nothing is due for it"
        return (
            f"{self!r} does not end by itself: {waits}. Answer with `await env.resume(run.hooks[0], ...)`, "
            "or look at `run.status` and `run.waiting_on`."
        )


def waiting_hook(machine: Machine, row: HookRow) -> WaitingHook:
    hook = WaitingHook(hook_json(row, machine.runtime.hook_url(row)))
    hook.token = machine.tokens.token(row.run_id, row.step, key_id=row.key_id)
    return hook
