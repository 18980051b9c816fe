"""Agents: workers that a model leads, with tools from a fixed list."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast, overload

import msgspec

from ksl.define.action import Action, ScopedAction
from ksl.define.budget import Budget
from ksl.define.duration import parse_duration
from ksl.define.options import kind_of
from ksl.define.seam import frame_at, here
from ksl.define.slug import check_slug, title_of
from ksl.define.thinking import Asked, thinking
from ksl.define.tool_source import ToolSource
from ksl.define.workflow import Workflow
from ksl.errors import MalformedDefinition
from ksl.records.model_use import ModelUse

T = TypeVar("T")


TOOL_NAME_MAX = 64  # characters, as vendors of models take them


class AgentResult(msgspec.Struct, Generic[T], frozen=True):
    """What a prompt came to. `output` is None where no type was asked for; `usage` counts recorded turns once, with
    those of agents used as tools."""

    text: str
    output: T
    session_id: str
    usage: ModelUse


class ApprovedTool:
    """A tool whose every call waits for a person. Made by `requires_approval`."""

    def __init__(self, tool: Any, *, timeout_s: float | None) -> None:
        self.tool = tool
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"<{self.tool!r}, approved>"


Tool = Action[..., Any] | ScopedAction[..., Any] | Workflow[Any, Any] | "Agent" | ApprovedTool | ToolSource


def requires_approval(
    tool: Action[..., Any] | ScopedAction[..., Any] | Workflow[Any, Any] | Agent,
    *,
    timeout: str | float | timedelta | None = None,
) -> ApprovedTool:
    """The tool, with each call waiting on a hook until a person allows it. A refusal, or nobody's answer within
    `timeout`, goes back to the model as a message. Works where the agent's step is part of a run."""
    if not isinstance(tool, Action | ScopedAction | Workflow | Agent):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise MalformedDefinition(f"requires_approval({tool!r}): it takes an action, a workflow or an agent.")
    return ApprovedTool(tool, timeout_s=None if timeout is None else parse_duration(timeout))


class Agent:
    """An LLM worker. `.prompt(...)` inside a run is a durable step: each turn of the model and each call of a tool is
    recorded below it."""

    def __init__(
        self,
        slug: str,
        *,
        model: str | None = None,
        system_prompt: str = "",
        tools: Sequence[Any] = (),
        skills: Sequence[str] = (),
        sandbox: ToolSource | None = None,
        memory: bool = True,
        max_steps: int = 100,
        budget: Budget | None = None,
        compact_at: int | None = 100_000,
        stream: bool = True,
        name: str | None = None,
        description: str = "",
    ) -> None:
        """`model` None: the setting models.default. `max_steps` bounds the turns of one prompt. At `compact_at` tokens
        of context the conversation is summed up, and the model goes on from the summary; None: never.
        `stream`: what the model says is told while it says it, to whoever watches the run."""
        self.where = f"agent {slug}"
        self.slug = check_slug(slug, where=self.where)
        self.name = name or title_of(slug)
        self.description = description
        self.model = kind_of(model, str, where=self.where, option="model", what='text, "vendor/model-id"')
        self.system_prompt = system_prompt
        if isinstance(skills, str):
            raise MalformedDefinition(
                f"{self.where}: skills=[...] takes a list of names; write [{skills!r}]."
            )
        self.skills = tuple(skills)
        self.sandbox = kind_of(sandbox, ToolSource, where=self.where, option="sandbox", what="a Sandbox(...)")
        self.memory = memory
        self.place = _place()  # file:line
        self.budget = kind_of(budget, Budget, where=self.where, option="budget")
        self.stream = stream
        if not isinstance(max_steps, int) or max_steps < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MalformedDefinition(
                f"{self.where}: max_steps={max_steps!r} leaves it no turn; it is a whole number from 1 on."
            )
        if compact_at is not None and compact_at < 1_000:
            raise MalformedDefinition(f"{self.where}: compact_at={compact_at}; it starts at 1000 tokens.")
        self.max_steps = max_steps
        self.compact_at = compact_at
        self.tools: tuple[Any, ...] = tuple(tools)
        self._check_tools()

    def __repr__(self) -> str:
        return f"<agent {self.slug}>"

    @overload
    def prompt(
        self, message: str, *, output: None = None, session: str | None = None
    ) -> Coroutine[Any, Any, AgentResult[None]]: ...
    @overload
    def prompt(
        self, message: str, *, output: type[T], session: str | None = None
    ) -> Coroutine[Any, Any, AgentResult[T]]: ...
    @overload
    def prompt(
        self, message: str, *, output: Any, session: str | None = None
    ) -> Coroutine[Any, Any, AgentResult[Any]]: ...
    def prompt(
        self, message: str, *, output: Any = None, session: str | None = None
    ) -> Coroutine[Any, Any, AgentResult[Any]]:
        """Gives the agent something to do, and waits until it is done.

        `output` is the type of `result.output`; `session` continues an earlier conversation. Outside a run, and in an
        action, it runs at once and nothing is recorded; it has no earlier conversation then.
        """
        if not isinstance(message, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MalformedDefinition(f"{self.where}: prompt() takes a text, not {type(message).__name__}.")
        asked = Asked(message, session, *(() if output is None else (_schema(output),)))
        run = here.run
        if run is None:
            return self._at_once(asked, output)
        body = thinking.mind.body(self, asked, output)
        decode = Decoding(output)
        called = run.inside(self.slug, msgspec.json.encode(asked), decode, body, frame_at(1))
        return cast("Coroutine[Any, Any, AgentResult[Any]]", called)

    async def _at_once(self, asked: Asked, output: Any) -> AgentResult[Any]:
        return Decoding(output)(await thinking.mind.at_once(self, asked, output))

    def _check_tools(self) -> None:
        named: set[str] = set()
        for tool in self.tools:
            bare = bare_tool(tool)
            if isinstance(bare, ToolSource):
                continue
            if not isinstance(bare, Action | ScopedAction | Workflow | Agent):
                raise MalformedDefinition(
                    f"{self.where}: tools=[...] takes actions, workflows, agents and tool sources, not {bare!r}."
                )
            slug = tool_slug(bare)
            if len(slug) > TOOL_NAME_MAX:
                raise MalformedDefinition(
                    f"{self.where}: the tool {slug} has a name of {len(slug)} characters; models take "
                    f"{TOOL_NAME_MAX}. Give it a shorter slug."
                )
            if slug in named:
                raise MalformedDefinition(f"{self.where}: tools=[...] has two of the name {slug!r}.")
            named.add(slug)


def workflows_of(agent: Agent) -> list[Workflow[Any, Any]]:
    """Those that it has as tools, and that agents below it have."""
    found: dict[int, Workflow[Any, Any]] = {}
    seen: set[int] = set()
    pending = [agent]
    while pending:
        each = pending.pop()
        seen.add(id(each))
        for tool in each.tools:
            bare = bare_tool(tool)
            if isinstance(bare, Workflow):
                found[id(cast("object", bare))] = cast("Workflow[Any, Any]", bare)
            elif isinstance(bare, Agent) and id(bare) not in seen:
                pending.append(bare)
    return list(found.values())


def _place() -> str:
    frame = frame_at(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Decoding:
    """An agent's stored result, for the author."""

    def __init__(self, output: Any) -> None:
        self._output = output

    def __call__(self, data: bytes) -> AgentResult[Any]:
        stored = msgspec.json.decode(data, type=StoredResult)
        if self._output is None:
            value = None
        else:
            value = codec_of(self._output).decode(bytes(stored.output))
        return AgentResult(stored.text, value, stored.session_id, stored.usage)


class StoredResult(msgspec.Struct):
    text: str
    output: msgspec.Raw
    session_id: str
    usage: ModelUse


def bare_tool(tool: Any) -> Any:
    """Without the approval around it."""
    return tool.tool if isinstance(tool, ApprovedTool) else tool


def tool_slug(tool: Any) -> str:
    return cast("ScopedAction[..., Any]", tool).action.slug if isinstance(tool, ScopedAction) else tool.slug


_codecs: dict[Any, Any] = {}


def codec_of(output: Any) -> Any:
    """The `Codec` of an output annotation, made once where the annotation can be a key."""
    from ksl.define.codec import Codec

    try:
        codec = _codecs.get(output)
    except TypeError:
        return Codec(output, where="the output of a prompt")
    if codec is None:
        codec = _codecs[output] = Codec(output, where="the output of a prompt")
    return codec


def _schema(output: Any) -> Any:
    return codec_of(output).schema()
