"""The templates of pages, and what they may call. Everything that is put into one is escaped."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

from ksl.api.ui import words
from ksl.views.form_fields import text_of

if TYPE_CHECKING:
    from jinja2 import Environment


@functools.cache
def environment() -> Environment:
    # Most servers never show a page, and Jinja takes several megabytes.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=ChoiceLoader([PackageLoader("ksl.api", "pages"), PackageLoader("ksl.api", "ui/templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words.install(made)
    made.filters["as_text"] = _as_text
    made.filters["as_choice"] = _as_choice
    return made


def _as_text(value: object) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, indent=2)
    return text_of(value)


def _as_choice(value: object) -> str:
    return {True: "Yes", False: "No"}[value] if isinstance(value, bool) else _as_text(value)
