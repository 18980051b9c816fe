"""What a live object is to a project: which class of `ksl.define` it belongs to."""

from __future__ import annotations

from typing import Any, cast

from ksl.build.by_name import ByName
from ksl.build.site import DefinitionKind
from ksl.define.action import Action, ScopedAction
from ksl.define.agent import Agent
from ksl.define.context import Context
from ksl.define.llm import prompt_llm
from ksl.define.workflow import Workflow


def kind_of(value: object) -> tuple[DefinitionKind, str] | None:
    match value:
        case Action():
            return ("action", value.slug)
        case ScopedAction():
            return ("action", cast("ScopedAction[..., Any]", value).action.slug)
        case Workflow():
            return ("workflow", value.slug)
        case Agent():
            return ("agent", value.slug)
        case _ if value is prompt_llm:
            return ("llm", "prompt-llm")
        case ByName():
            return (value.kind, value.slug)
        case _:
            return None


def is_context(value: object) -> bool:
    return value is Context
