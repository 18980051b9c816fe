"""One question to a model, as a step."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar, overload

from ksl.define.seam import frame_at, here
from ksl.define.thinking import thinking
from ksl.errors import MalformedDefinition

T = TypeVar("T")


@overload
def prompt_llm(
    prompt: str, *, model: str | None = None, output: None = None, system_prompt: str | None = None
) -> Coroutine[Any, Any, str]: ...
@overload
def prompt_llm(
    prompt: str, *, model: str | None = None, output: type[T], system_prompt: str | None = None
) -> Coroutine[Any, Any, T]: ...
@overload
def prompt_llm(
    prompt: str, *, model: str | None = None, output: Any, system_prompt: str | None = None
) -> Coroutine[Any, Any, Any]: ...
def prompt_llm(
    prompt: str, *, model: str | None = None, output: Any = None, system_prompt: str | None = None
) -> Coroutine[Any, Any, Any]:
    """Asks a model once: text, or with `output` a value of that type (any that pydantic validates).

    `model` is "vendor/model-id", by default the setting models.default. An answer that does not fit `output` goes
    back to the model twice before the step fails (KSL804). Inside a run the answer is recorded; elsewhere, and in
    an action, the model is asked at once.
    """
    if not isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise MalformedDefinition(f"prompt_llm(...) takes a text, not {type(prompt).__name__}.")
    action = thinking.mind.llm(output)
    given = {"prompt": prompt, "model": model, "system_prompt": system_prompt}
    run = here.run
    if run is None:
        return action.execute(action.arguments.encode((), given))
    return run.action(action, (), given, frame_at(1), None)  # pyright: ignore[reportReturnType]
