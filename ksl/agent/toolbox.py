"""The tools of one prompt: what the model is shown, and what its calls become.

The list is made before the first turn, from the agent's definition and what its tool sets offered. A call of anything
else does nothing, whoever asked for it.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from ksl.agent.around import services_of
from ksl.agent.message import ToolCall
from ksl.agent.tool_context import tool_context
from ksl.agent.tool_set import Offer, ToolError, ToolSet, ToolSpec
from ksl.define.action import Action, ActionContext, ScopedAction
from ksl.define.agent import Agent, AgentResult, ApprovedTool, Decoding
from ksl.define.codec import invalid
from ksl.define.seam import HookHandle, HookSpec, Inside, InsideSteps
from ksl.define.thinking import Asked
from ksl.define.tool_source import ToolSource
from ksl.define.workflow import Workflow
from ksl.errors import HookRejected, HookTimeout, MalformedDefinition, StepInterrupted

if TYPE_CHECKING:
    from ksl.records.credential import Scope

Json = dict[str, Any]
# Names of steps below an agent's own.
_TAKEN = ("session", "turn", "summary")
BodyOf = Callable[[Agent, Asked, Any], Inside]


class Begun:
    """A call whose step has its id and its input, and has not started. `read` makes of the step's value what the model
    is shown."""

    def __init__(self, call: Awaitable[Any], read: Callable[[Any], Any] | None = None) -> None:
        self._call: Any = call
        self._read = read

    async def wait(self) -> Any:
        value = await self._call
        return value if self._read is None else self._read(value)

    def close(self) -> None:
        """It is not to start."""
        self._call.close()


class Tool(Protocol):
    spec: ToolSpec

    def begin(self, steps: InsideSteps, arguments: Json) -> Begun:
        """Fixes the step's id and input, at once. Errors: InvalidInput, for the model."""
        ...


class Toolbox:
    """`spent` is told what agents used as tools have used."""

    def __init__(
        self,
        agent: Agent,
        offers: Mapping[str, Offer],
        *,
        session_id: str,
        body_of: BodyOf,
        spent: Callable[[AgentResult[Any]], None],
    ) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in agent.tools:
            if not isinstance(tool, ToolSource):
                self._add(agent, _tool_of(tool, body_of=body_of, spent=spent))
        for name, offer in offers.items():
            for spec in offer.tools:
                self._add(agent, _OfferedTool(spec, agent=agent, tool_set=name, session_id=session_id))

    @property
    def specs(self) -> list[ToolSpec]:
        return [tool.spec for tool in self._tools.values()]

    def begin(self, steps: InsideSteps, call: ToolCall) -> Begun:
        """Errors: ValueError, InvalidInput: what is wrong with the call, for the model."""
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            raise ValueError(f"there is no tool {call.name!r}. The tools are: {known}")
        return tool.begin(steps, call.object())

    def _add(self, agent: Agent, tool: Tool) -> None:
        if tool.spec.name in self._tools:
            raise MalformedDefinition(
                f"{agent.where} has two tools of the name {tool.spec.name!r}. Rename one of them."
            )
        self._tools[tool.spec.name] = tool


def _tool_of(tool: Any, *, body_of: BodyOf, spent: Callable[[AgentResult[Any]], None]) -> Tool:
    match tool:
        case ApprovedTool():
            return _ApprovedTool(_tool_of(tool.tool, body_of=body_of, spent=spent), tool.timeout_s)
        case ScopedAction():
            scoped = cast("ScopedAction[..., Any]", tool)
            return _ActionTool(scoped.action, scoped.pinned)
        case Workflow():
            return _WorkflowTool(cast("Workflow[Any, Any]", tool))
        case Agent():
            return _AgentTool(tool, body_of, spent)
        case _:
            return _ActionTool(cast("Action[..., Any]", tool), None)


def _key(name: str) -> str:
    return f"{name}~tool" if name in _TAKEN else name


def _described(definition: Any) -> str:
    return definition.description or definition.name


class _ActionTool:
    def __init__(self, action: Action[..., Any], scope: Scope | None) -> None:
        self._action = action
        self._scope: Scope | None = scope
        self.spec = ToolSpec(action.slug, _described(action), action.input_schema())
        self._positional = [
            p.name for p in action.arguments.fields if p.kind is inspect.Parameter.POSITIONAL_ONLY
        ]

    def begin(self, steps: InsideSteps, arguments: Json) -> Begun:
        given = dict(arguments)
        args = tuple(given.pop(name) for name in self._positional if name in given)
        call = steps.action(self._action, args, given, key=_key(self.spec.name), scope=self._scope)
        return Begun(call, self._plain)

    def _plain(self, value: Any) -> Any:
        return msgspec.json.decode(self._action.output.encode(value, root="output"))


class _WorkflowTool:
    def __init__(self, workflow: Workflow[Any, Any]) -> None:
        self._workflow = workflow
        schema: Json = workflow.input_schema()
        self._is_wrapped = workflow.input_parameter is not None and schema.get("type") != "object"
        if workflow.input_parameter is None:
            schema = {"type": "object", "properties": {}}
        elif self._is_wrapped:
            defs = schema.pop("$defs", None)
            schema = {"type": "object", "properties": {"input": schema}, "required": ["input"]}
            schema |= {} if defs is None else {"$defs": defs}
        self.spec = ToolSpec(workflow.slug, _described(workflow), schema)

    def begin(self, steps: InsideSteps, arguments: Json) -> Begun:
        given: Any = arguments.get("input") if self._is_wrapped else arguments
        if self._workflow.input_parameter is None:
            given = None
        try:
            data = self._workflow.input.encode(
                self._workflow.input.decode(msgspec.json.encode(given)), root="input"
            )
        except ValueError as error:
            raise invalid(error, what=f"the input of workflow {self._workflow.slug}") from None
        action = copy.copy(_RUN)
        action.slug = self._workflow.slug
        call = steps.action(action, (), {"input": msgspec.json.decode(data)}, key=_key(self.spec.name))
        return Begun(call)


class _RunWorkflow(Action[..., Any]):
    def call(self, data: bytes, context: ActionContext) -> Any:
        _, values = self.arguments.decode(data)
        return self._run(values["input"], context)

    async def _run(self, input: Any, context: ActionContext) -> Any:
        services = await services_of(context)
        return await services.run_workflow(self.slug, msgspec.json.encode(input), context)


async def run_workflow(input: Any, ctx: ActionContext) -> Any:
    """Runs a workflow as a tool."""
    raise NotImplementedError


_RUN = _RunWorkflow(run_workflow)


class _AgentTool:
    def __init__(self, agent: Agent, body_of: BodyOf, spent: Callable[[AgentResult[Any]], None]) -> None:
        self._agent = agent
        self._body_of = body_of
        self._spent = spent
        message = {"type": "string", "description": "What the agent is to do, with all it needs to know."}
        schema: Json = {"type": "object", "properties": {"message": message}, "required": ["message"]}
        self.spec = ToolSpec(agent.slug, _described(agent), schema)

    def begin(self, steps: InsideSteps, arguments: Json) -> Begun:
        message = arguments.get("message")
        if not isinstance(message, str) or set(arguments) != {"message"}:
            raise ValueError('the arguments are {"message": "..."}')
        asked = Asked(message)
        body = self._body_of(self._agent, asked, None)
        call = steps.inside(
            self._agent.slug, msgspec.json.encode(asked), Decoding(None), body, key=_key(self.spec.name)
        )
        return Begun(call, self._text)

    def _text(self, result: AgentResult[Any]) -> str:
        self._spent(result)
        return result.text


class _ApprovedTool:
    def __init__(self, tool: Tool, timeout_s: float | None) -> None:
        self._tool = tool
        self._timeout_s = timeout_s
        self.spec = tool.spec

    def begin(self, steps: InsideSteps, arguments: Json) -> Begun:
        # The call is made first: what cannot be called is not asked for.
        call = self._tool.begin(steps, arguments)
        spec = HookSpec(
            schema=_approval(),
            timeout_s=self._timeout_s,
            name=f"approve-{self.spec.name}",
            title=f"Allow the agent to call {self.spec.name}?",
            details={"tool": self.spec.name, "arguments": arguments, "step": steps.step_id},
            get="confirm",
        )
        hook = steps.hook(spec, key=f"approve-{self.spec.name}")
        return _Approved(hook, call)


class _Approved(Begun):
    def __init__(self, hook: HookHandle, call: Begun) -> None:
        super().__init__(cast("Awaitable[Any]", call))
        self._hook = hook
        self._wanted = call

    async def wait(self) -> Any:
        try:
            given = await self._hook.wait()
            if given.approved:
                return await self._wanted.wait()
            refusal = given.reason
        except HookRejected as rejected:
            refusal = rejected.reason
        except HookTimeout:
            refusal = "nobody answered in time"
        self._wanted.close()
        raise ToolError(f"a person refused this call{': ' if refusal else ''}{refusal}")


_approval_made: list[Any] = []


def _approval() -> Any:
    if not _approval_made:
        from pydantic import BaseModel, Field

        class ToolApproval(BaseModel):
            """Whether the agent may make this call."""

            approved: bool = Field(title="Allow it")
            reason: str = Field("", title="Reason, for the agent")

        _approval_made.append(ToolApproval)
    return _approval_made[0]


class _CallOffered(Action[..., Any]):
    offered: _OfferedTool

    def call(self, data: bytes, context: ActionContext) -> Any:
        _, values = self.arguments.decode(data)
        return self._call(values["arguments"], context)

    async def _call(self, arguments: Json, context: ActionContext) -> Any:
        services = await services_of(context)
        tool_set = self.offered.find(services.tool_sets(self.offered.agent))
        place = tool_context(services, self.offered.agent.slug, self.offered.session_id, context)
        spec = self.offered.spec
        return await tool_set.call(spec.own or spec.name, arguments, place)


async def tool_call(arguments: dict[str, Any], ctx: ActionContext) -> Any:
    """Calls a tool of a tool set."""
    raise NotImplementedError


_CALL = _CallOffered(tool_call)


class _OfferedTool:
    def __init__(self, spec: ToolSpec, *, agent: Agent, tool_set: str, session_id: str) -> None:
        self.spec = spec
        self.agent = agent
        self.session_id = session_id
        self._tool_set = tool_set

    def begin(self, steps: InsideSteps, arguments: Json) -> Begun:
        action = copy.copy(_CALL)
        action.offered = self
        action.effect = self.spec.effect
        return _Offered(steps.action(action, (), {"arguments": arguments}, key=_key(self.spec.name)))

    def find(self, tool_sets: list[ToolSet]) -> ToolSet:
        """Errors: ToolError where the agent was given it no more, since the prompt began."""
        found = next((each for each in tool_sets if each.name == self._tool_set), None)
        if found is None:
            raise ToolError(f"{self.spec.name} is not available any more")
        return found


class _Offered(Begun):
    async def wait(self) -> Any:
        try:
            return await super().wait()
        except StepInterrupted:
            raise ToolError(
                "the call was cut off when the server stopped, and was not made again: it may have taken effect or "
                "not. Look at how things stand before you repeat it"
            ) from None
