"""The workflow by which an agent is prompted from outside a workflow: by HTTP, a command, a trigger."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ksl.define.agent import Agent
from ksl.define.retry import Retry
from ksl.define.workflow import Workflow
from ksl.errors import MalformedTrigger

PREFIX = "agent:"  # of their slugs; a slug that an author gives has no colon


@dataclass
class PromptInput:
    """What the agent is to do, and the session it goes on with."""

    message: str
    session: str | None = None


@dataclass
class PromptOutput:
    text: str
    session_id: str


_made: dict[int, tuple[Agent, Workflow[Any, Any]]] = {}


def prompt_workflow(agent: Agent) -> Workflow[Any, Any]:
    """The same one whenever it is asked for the same agent."""
    known = _made.get(id(agent))
    if known is not None and known[0] is agent:
        return known[1]

    async def prompt(input: PromptInput) -> PromptOutput:
        result = await agent.prompt(input.message, session=input.session)
        return PromptOutput(result.text, result.session_id)

    workflow = Workflow[Any, Any](
        prompt, name=agent.name, description=f"Prompts agent {agent.slug}.", retry=Retry()
    )
    workflow.slug = f"{PREFIX}{agent.slug}"
    _made[id(agent)] = (agent, workflow)
    return workflow


_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"payload((?:\.\w+|\[\d+\])*)")


def prompt_template(text: str, *, where: str, plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A transform that puts parts of the payload into a text: `{{payload.email}}`, `{{payload.items[0].name}}`.

    `plain` makes JSON values of the payload. Errors: MalformedTrigger for a text that names something else.
    """
    for place in _PLACE.findall(text):
        if not _PATH.fullmatch(place.strip()):
            raise MalformedTrigger(
                f"{where}: its prompt has {{{{{place}}}}}, which is no path into the payload. Write {{{{payload}}}}, "
                "{{payload.email}} or {{payload.items[0].name}}, or give a function that returns the text."
            )

    def filled(payload: Any) -> dict[str, Any]:
        value = plain(payload)
        return {"message": _PLACE.sub(lambda found: _shown(value, found[1].strip()), text)}

    return filled


def prompt_function(function: Callable[..., str]) -> Callable[[Any], Any]:
    def made(payload: Any) -> dict[str, Any]:
        return {"message": function(payload)}

    return made


def _shown(value: Any, path: str) -> str:
    """Errors: ValueError where the payload has no such part."""
    import json

    for name, place in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        try:
            if place:
                value = cast("Sequence[Any]", value)[int(place)]
            else:
                value = cast("Mapping[str, Any]", value)[name]
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"the payload has no {path.removeprefix('payload').lstrip('.')}") from None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
