"""Sources and attachments: what fires, and which workflows a firing starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, cast, overload

import msgspec

from ksl.define.agent import Agent
from ksl.define.codec import Codec, Json
from ksl.define.delivery import Delivery
from ksl.define.prompting import PREFIX, prompt_function, prompt_template, prompt_workflow
from ksl.define.seam import frame_at
from ksl.define.slug import check_slug, title_of
from ksl.define.workflow import Workflow
from ksl.errors import MalformedTrigger
from ksl.records import SourceKind

_HERE = str(Path(__file__).parent)
_made: ContextVar[list[Source] | None] = ContextVar("ksl_sources_made", default=None)


@dataclass(frozen=True, slots=True)
class Attachment:
    """The link from a source to one workflow. Without `transform` the payload is the input."""

    source: str
    workflow: Workflow[Any, Any]
    transform: Asked | None = None

    @property
    def id(self) -> str:
        return f"{self.source}:{self.workflow.slug.removeprefix(PREFIX)}"


class Source:
    """What all sources have in common. `payload` is checked and turned into what filter and transform get."""

    kind: ClassVar[SourceKind]

    def __init__(
        self,
        slug: str,
        *,
        name: str | None = None,
        description: str = "",
        payload: Any = Any,
        filter: Callable[..., object] | None = None,
    ) -> None:
        self.where = f"{type(self).__name__} {slug}"
        self.slug = check_slug(slug, where=self.where)
        self.name = name or title_of(slug)
        self.description = description
        self.payload = Codec(payload, where=f"{self.where}, its payload")
        self.filter = None if filter is None else Asked(filter, what="filter", where=self.where)
        self.attachments: list[Attachment] = []
        self.place = _place()  # file:line
        if (made := _made.get()) is not None:
            made.append(self)

    def __repr__(self) -> str:
        return f"<{self.kind} source {self.slug}>"

    @overload
    def attach(
        self,
        target: Workflow[Any, Any],
        /,
        *,
        transform: Callable[[Any], object] | Callable[[Any, Delivery], object] | None = None,
    ) -> Self: ...
    @overload
    def attach(
        self, target: object, /, *, prompt: str | Callable[[Any], str] | Callable[[Any, Delivery], str]
    ) -> Self: ...
    def attach(
        self, target: object, /, *, transform: Callable[..., object] | None = None, prompt: object = None
    ) -> Self:
        """Starts a run of the workflow at each firing. `transform` makes its input of the payload.

        An agent is prompted instead, in a new session each time: `prompt` is a text with parts of the payload in it,
        "New signup: {{payload.email}}", or a function of the payload that returns one.
        Returns the source, so that calls can be chained. Errors: MalformedTrigger, also for a target that is attached
        already.
        """
        return self._attach(target, transform, prompt)

    def _attach(self, target: object, transform: Callable[..., object] | None, prompt: object) -> Self:
        if isinstance(target, Agent):
            target, transform, prompt = (
                prompt_workflow(target),
                self._prompting(target, transform, prompt),
                None,
            )
        if not isinstance(target, Workflow):
            raise MalformedTrigger(
                f"{self.where}: attach() takes a workflow or an agent, and {target!r} is neither. Decorate it with "
                "@workflow."
            )
        if prompt is not None:
            raise MalformedTrigger(
                f"{self.where}: `prompt` is for agents; give `transform` for workflow {target.slug}."
            )
        workflow = cast("Workflow[Any, Any]", target)
        made = None if transform is None else Asked(transform, what="transform", where=self.where)
        attachment = Attachment(self.slug, workflow, made)
        if any(attachment.id == other.id for other in self.attachments):
            raise MalformedTrigger(
                f"{self.where} is attached to workflow {workflow.slug} twice. An attachment's id, {attachment.id}, "
                "must be unique: do both in one transform, or make a second source."
            )
        self.attachments.append(attachment)
        return self

    def _prompting(self, agent: Agent, transform: object, prompt: object) -> Callable[..., object]:
        if transform is not None or prompt is None:
            raise MalformedTrigger(
                f"{self.where}: agent {agent.slug} is attached with `prompt`, a text or a function of the payload, and "
                "without `transform`."
            )
        if isinstance(prompt, str):
            return prompt_template(prompt, where=self.where, plain=self._plain)
        Asked(cast("Callable[..., str]", prompt), what="prompt", where=self.where)
        return prompt_function(cast("Callable[..., str]", prompt))

    def _plain(self, payload: Any) -> Any:
        return msgspec.json.decode(self.payload.dump(payload, root="the payload"))

    def details(self) -> Json:
        """What this kind has of its own, for those who list sources."""
        return {}

    def prepare(self) -> None:
        """Builds the schemas. Errors: MalformedTrigger, MalformedDefinition."""
        self.payload.prepare()


class Asked:
    """An author's function of the payload, or of the payload and its `Delivery`."""

    __slots__ = ("function", "takes_delivery", "what")

    def __init__(self, function: Callable[..., object], *, what: str, where: str) -> None:
        if not callable(function):
            raise MalformedTrigger(f"{where}: {what} is a function of the payload, and {function!r} is none.")
        if inspect.iscoroutinefunction(function):
            raise MalformedTrigger(
                f"{where}: its {what} is `async def`. It must be a plain, quick function: what takes time belongs "
                "into an action of the workflow."
            )
        self.what = what
        self.function = function
        self.takes_delivery = _takes_delivery(function, what=what, where=where)

    def __call__(self, value: Any, delivery: Delivery | None) -> Any:
        """Errors: whatever the function raises."""
        result = self.function(value, delivery) if self.takes_delivery else self.function(value)
        if inspect.isawaitable(result):
            raise TypeError(f"the {self.what} returned something to await; it must be a plain function")
        return result


@contextmanager
def collecting() -> Generator[list[Source]]:
    """Every source that is made meanwhile, in order: one need not be assigned to a name to be found."""
    made: list[Source] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


def _takes_delivery(function: Callable[..., object], *, what: str, where: str) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False  # a builtin such as `bool` does not always say
    required = [
        p
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    anywhere = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if named or len(required) > 2 or not (positional or anywhere):
        raise MalformedTrigger(
            f"{where}: its {what} takes ({', '.join(map(str, parameters))}). It is called with the payload, or with "
            "the payload and a ksl.Delivery: one positional parameter or two."
        )
    return len(required) == 2 or (len(positional) > 1 and _is_delivery(positional[1].annotation))


def _is_delivery(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2].split(" ")[0] == "Delivery"
    return annotation is Delivery


def _place() -> str:
    frame = frame_at(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
