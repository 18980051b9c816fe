"""What agents need of a server: sessions, budgets, workflows that run as tools."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ksl.agent.keys import key_credential, key_in
from ksl.agent.model import Model, Question, Reply
from ksl.agent.models import Models, providers_of
from ksl.agent.services import Bound, Opened
from ksl.agent.telling import Telling
from ksl.agent.tool_set import ToolError, ToolSet
from ksl.agent.tools import tool_sets
from ksl.define.seam import outside
from ksl.errors import FatalError, MissingCredential, NotAProject, SessionBusy, ToolCannotWait, UnknownSession
from ksl.log.sessions import SessionTable
from ksl.records import FINISHED, RunRow, RunStatus
from ksl.records.session import PromptRow
from ksl.runtime.conversation import said_before
from ksl.runtime.spending import Spending

if TYPE_CHECKING:
    from ksl.build.config import Settings
    from ksl.define.action import ActionContext
    from ksl.define.agent import Agent
    from ksl.define.credential import Credential, Credentials, CredentialSource
    from ksl.engine.host import Clock
    from ksl.log.store import Store
    from ksl.runtime.runtime import Runtime

Json = dict[str, Any]


class Prompted(NamedTuple):
    """A prompt that was stored."""

    run_id: str
    session_id: str


class AgentServices:
    """`agent.services.Services` of a server."""

    def __init__(self, runtime: Runtime, *, settings: Settings, store: Store, clock: Clock) -> None:
        self._runtime = runtime
        self._store = store
        self._clock = clock
        self._settings = settings
        self.folder = settings.folder
        self.workspaces_root = settings.data_folder / "workspaces"
        self._models = models_of(settings, os.environ, learn=runtime.redactor.learn)
        self._tool_sets: dict[str, list[ToolSet]] = {}
        self._spending = Spending(runtime, settings=settings, store=store, clock=clock)
        self.waiting: set[asyncio.Task[Any]] = set()  # attempts that wait for a run, and do nothing
        self._task: asyncio.Future[Any] | None = None  # that adds them
        self._adding: list[tuple[PromptRow, asyncio.Future[PromptRow]]] = []  # for the next commit

    async def model(self, asked: str | None, context: ActionContext) -> Model:
        return await self._models.get(asked, partial(self._key, context))

    def tool_sets(self, agent: Agent) -> list[ToolSet]:
        made = self._tool_sets.get(agent.slug)
        if made is None:
            made = self._tool_sets[agent.slug] = tool_sets(agent, folder=self.folder)
        return made

    async def open_session(
        self, *, session_id: str | None, agent: str, run_id: str, step: str, parent: str | None
    ) -> Opened:
        begins = session_id is None
        session_id = session_id or session_id_of(run_id, step)
        if not begins:
            self._raise_if_not(await self._sessions.prompts(session_id), session_id, agent)
        # Before it is known whether it is its turn: of two that come at once, the one that is stored first is first.
        stored = await self._add(PromptRow(session_id, agent, run_id, step, parent, self._clock.now_ms()))
        if begins:
            return Opened(session_id, 1)
        before = [row for row in await self._sessions.prompts(session_id) if row.id < stored.id]
        await self._raise_if_busy(before)
        return Opened(session_id, 1 + len(before))

    async def check_session(self, session_id: str, agent: str) -> None:
        """Errors: UnknownSession where the agent has no such session."""
        self._raise_if_not(await self._sessions.prompts(session_id), session_id, agent)

    async def earlier(self, session_id: str, *, run_id: str, step: str) -> list[Json]:
        return await said_before(
            self._store, session_id, run_id=run_id, step=step, add=self._add, now_ms=self._clock.now_ms
        )

    async def check_budgets(self, bounds: Sequence[Bound], *, run_id: str, step: str) -> None:
        await self._spending.check(bounds, run_id=run_id, step=step)

    def telling(
        self, run_id: str, step: str, session_id: str | None, attempt: int
    ) -> AbstractContextManager[Telling]:
        return self._runtime.speech.telling(run_id, step, session_id, attempt)

    async def credentials(self, wanted: Sequence[Credential[Any]], context: ActionContext) -> Credentials:
        resolved = await self._runtime.credentials.resolve(
            wanted,
            subscriber=context._subscriber,  # pyright: ignore[reportPrivateUsage]
            purpose=f"attempt {context.attempt} of step:{context.step_id} of run {context.run_id}",
        )
        context._uses.extend(resolved.uses)  # pyright: ignore[reportPrivateUsage]
        return resolved.credentials

    def learn(self, name: str, secret: str) -> None:
        self._runtime.redactor.learn(name, secret)

    async def run_workflow(self, slug: str, input: bytes, context: ActionContext) -> Any:
        key = f"tool-{hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:40]}"
        started = await self._runtime.start(
            slug,
            input,
            trigger="agent",
            idempotency_key=key,
            subscriber=context._subscriber,  # pyright: ignore[reportPrivateUsage]
            by="agent",
        )
        run_id = started.run.run_id
        if started.run.status is RunStatus.FAILED and context.attempt > 1:
            # Its failure was told already. The step was tried again since, and so is its run, from what it recorded.
            await self._runtime.retry(run_id, by="agent")
        task = asyncio.current_task()
        assert task is not None
        self.waiting.add(task)
        try:
            with self._runtime.engine.waiting(context.run_id, context.step_id):
                row = await self._runtime.settled(run_id, timeout_s=None)
        except asyncio.CancelledError:
            if not self._runtime.engine.stopping:
                self._runtime.give_up(run_id)
            raise
        finally:
            self.waiting.discard(task)
        return await self._output(row)

    def outside(self) -> ScriptServices:
        """For what asks outside any run in this process."""
        return ScriptServices(self._settings, models=self._models)

    async def close(self) -> None:
        for sets in self._tool_sets.values():
            for tool_set in sets:
                await tool_set.close()
        await self._models.close()

    async def _key(self, context: ActionContext, name: str) -> str | None:
        credential = self._runtime.project.credentials.get(name) or key_credential(name)
        try:
            given = await self.credentials([credential], context)
        except MissingCredential:
            return None
        return key_in(credential, given[credential])

    @property
    def _sessions(self) -> SessionTable:
        return self._store.sessions

    async def _add(self, row: PromptRow) -> PromptRow:
        """Many that come together share a commit."""
        answer: asyncio.Future[PromptRow] = asyncio.get_running_loop().create_future()
        self._adding.append((row, answer))
        if len(self._adding) == 1:
            asyncio.get_running_loop().call_soon(self._add_soon)
        return await answer

    def _add_soon(self) -> None:
        adding, self._adding = self._adding, []
        task = self._task = asyncio.ensure_future(self._sessions.add([row for row, _ in adding]))

        def done(task: asyncio.Future[list[PromptRow]]) -> None:
            error = task.exception()
            for n, (_, answer) in enumerate(adding):
                if answer.done():
                    continue
                if error is None:
                    answer.set_result(task.result()[n])
                else:
                    answer.set_exception(error)

        task.add_done_callback(done)

    def _raise_if_not(self, prompts: list[PromptRow], session_id: str, agent: str) -> None:
        if not prompts:
            raise UnknownSession(
                f'there is no session "{session_id}", or its runs were deleted by retention. `ksl sessions list` '
                "shows the sessions there are."
            )
        if prompts[0].agent != agent:
            raise UnknownSession(
                f'session "{session_id}" is one of agent {prompts[0].agent}, not of {agent}. Nothing was asked.'
            )

    async def _raise_if_busy(self, before: list[PromptRow]) -> None:
        """Errors: SessionBusy."""
        await self._store.flush()
        states = await self._sessions.states(before)
        for row, state in zip(before, states, strict=True):
            if state.ended is not None:
                continue
            run = await self._store.run(row.run_id)
            if run is not None and run.status not in FINISHED:
                raise SessionBusy(
                    f"session {row.session_id} is answering another prompt, step {row.step} of run {row.run_id}. "
                    "This one waits its turn."
                )

    async def _output(self, row: RunRow) -> Any:
        _, last = (await self._store.ends([row.run_id]))[row.run_id]
        if row.status is RunStatus.SUCCEEDED:
            return msgspec.json.decode(last.data or b"null")
        if row.status is RunStatus.CANCELLED:
            raise ToolError(f"run {row.run_id} of workflow {row.workflow} was cancelled")
        error: Json = msgspec.json.decode(last.data or b"{}")
        if error.get("type") == "ToolCannotWait":
            raise ToolCannotWait(str(error.get("message")))
        raise ToolError(
            f"run {row.run_id} of workflow {row.workflow} failed: {error.get('type')}: {error.get('message')}"
        )


class ScriptServices:
    """`agent.services.Services` of what asks outside any run: nothing is recorded."""

    def __init__(self, settings: Settings | None, *, models: Models | None = None) -> None:
        """`models`: of the server in whose process that is; without one it is a script."""
        self.folder = Path.cwd() if settings is None else settings.folder
        root = self.folder / ".ksl" if settings is None else settings.data_folder
        self.workspaces_root = root / "workspaces"
        self._models = models
        self._settings = settings

    async def model(self, asked: str | None, context: ActionContext) -> Model:
        if self._models is not None:
            return await self._models.get(asked, key_outside)
        if self._settings is None:
            models = Models(folder=self.folder, env=os.environ)
        else:
            models = models_of(self._settings, os.environ)
        return _ForOneTurn(await models.get(asked, key_outside), models)

    def tool_sets(self, agent: Agent) -> list[ToolSet]:
        return tool_sets(agent, folder=self.folder)

    async def open_session(
        self, *, session_id: str | None, agent: str, run_id: str, step: str, parent: str | None
    ) -> Opened:
        if session_id is not None:
            raise FatalError(
                f"agent {agent} was asked outside a run to go on with session {session_id}. Sessions are kept by "
                "runs: prompt the agent in a workflow, or with `ksl agents prompt`."
            )
        return Opened(f"unrecorded-{os.urandom(8).hex()}", 1)

    async def earlier(self, session_id: str, *, run_id: str, step: str) -> list[Json]:
        return []

    async def check_budgets(self, bounds: Sequence[Bound], *, run_id: str, step: str) -> None:
        return None

    def telling(
        self, run_id: str, step: str, session_id: str | None, attempt: int
    ) -> AbstractContextManager[Telling]:
        raise AssertionError("outside a run nobody watches")

    async def credentials(self, wanted: Sequence[Credential[Any]], context: ActionContext) -> Credentials:
        async with outside.source() as source:
            return (await source.resolve(wanted, purpose="an agent or a prompt, outside any run")).credentials

    def learn(self, name: str, secret: str) -> None:
        pass  # nothing is recorded

    async def run_workflow(self, slug: str, input: bytes, context: ActionContext) -> Any:
        raise FatalError(
            f"workflow {slug} is a tool here, and only a server can start its runs. Prompt the agent in a run."
        )


class _ForOneTurn:
    """A model of a script: nobody says when it has no more turns, so its connections go with each."""

    def __init__(self, model: Model, models: Models) -> None:
        self._model = model
        self._models = models

    async def turn(self, question: Question) -> Reply:
        try:
            return await self._model.turn(question)
        finally:
            await self._models.close()

    async def close(self) -> None:
        await self._models.close()


async def key_outside(name: str) -> str | None:
    """The key of a model in a credential, as a script is given it. None where it is not set."""
    async with outside.source() as source:
        return await key_given_by(source, name, purpose="a model, outside any run")


async def key_given_by(source: CredentialSource, name: str, *, purpose: str = "") -> str | None:
    credential = key_credential(name)
    try:
        given = await source.resolve([credential], purpose=purpose)
    except MissingCredential:
        return None
    return key_in(credential, given.credentials[credential])


def script_services() -> ScriptServices:
    """Of the project around the current folder, if there is one."""
    from ksl.build.config import find_project, load_settings

    try:
        return ScriptServices(load_settings(find_project(Path.cwd()), os.environ))
    except NotAProject:
        return ScriptServices(None)


def models_of(
    settings: Settings,
    env: Mapping[str, str],
    *,
    set_credentials: Collection[str] = (),
    learn: Callable[[str, str], object] | None = None,
) -> Models:
    return Models(
        folder=settings.folder,
        default=settings.models.default,
        providers=providers_of(settings.models.providers),
        env=env,
        set_credentials=set_credentials,
        learn=learn,
    )


def session_id_of(run_id: str, step: str) -> str:
    """Of a session that begins with this step: the same whenever it is asked."""
    return f"ses_{hashlib.sha256(f'{run_id}/{step}'.encode()).hexdigest()[:20]}"
