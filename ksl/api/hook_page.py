"""The page behind a hook's link: the question with a form, or what became of it.

It shows what the author passed to the hook (title, details, schema) and who asks; never the run's id, its
input, or anything of another hook.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from ksl.api.templates import environment
from ksl.records import HookRow
from ksl.views.form_fields import Field
from ksl.views.values import value_of

if TYPE_CHECKING:
    from jinja2 import Template

# Names of the form's own inputs. A property of a payload may have any name but is unlikely to have these.
PROOF, DECISION, REASON, BY = "ksl:proof", "ksl:decision", "ksl:reason", "ksl:by"


@dataclass(frozen=True)
class Form:
    """`values` is what was filled in or pre-selected, `errors` what is wrong with it, by field."""

    fields: Sequence[Field]
    proof: str
    decision: str = ""  # nothing is chosen beforehand: a robot that presses the button answers nothing
    reason: str = ""
    by: str = ""
    values: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])
    errors: Mapping[str, str] = field(default_factory=dict[str, str])
    proof_name: str = PROOF
    decision_name: str = DECISION
    reason_name: str = REASON
    by_name: str = BY


def question_page(hook: HookRow, form: Form, *, status: int = 200, notice: str = "") -> Response:
    return _page(
        status,
        heading=_heading(hook),
        asked_by=hook.workflow,
        deadline=_moment(hook.expires_at_ms),
        details=value_of(hook.details),
        form=form,
        notice=notice,
        tone="bad",
    )


def answered_page(
    hook: HookRow, answer: object, *, status: int = 200, notice: str = "", tone: str = "good"
) -> Response:
    """`answer` is the payload, or the reason of a rejection."""
    rejected = hook.status == "rejected"
    when = f" on {moment}" if (moment := _moment(hook.answered_at_ms)) else ""
    who = "" if hook.answered_by in (None, "", "api", "link") else f" by {hook.answered_by}"
    label = f"{'Rejected' if rejected else 'Answered'}{who}{when}"
    return _page(
        status,
        heading=_heading(hook),
        asked_by=hook.workflow,
        notice=notice,
        tone=tone,
        answered="(no reason given)"
        if rejected and not answer
        else answer
        if answer is not None
        else "(empty)",
        answered_label=label,
    )


def closed_page(hook: HookRow) -> Response:
    why = (
        f"Nobody answered by {_moment(hook.expires_at_ms)}, so this link has expired."
        if hook.status == "expired"
        else "What asked this has ended, so it no longer takes an answer."
    )
    return _page(410, heading=_heading(hook), asked_by=hook.workflow, notice=why, tone="bad")


def message_page(status: int, heading: str, notice: str) -> Response:
    return _page(status, heading=heading, notice=notice, tone="bad")


def _page(status: int, **values: Any) -> Response:
    blank: dict[str, Any] = {
        "asked_by": "",
        "deadline": "",
        "details": None,
        "form": None,
        "answered": None,
        "answered_label": "",
    }
    template, css, policy = _template()
    html = template.render({**blank, **values, "css": css})
    return Response(html, status, {"Content-Security-Policy": policy}, "text/html; charset=utf-8")


@functools.cache
def _template() -> tuple[Template, object, str]:
    from markupsafe import Markup

    css = (files("ksl.api") / "pages" / "hook.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    # The style sheet is ours, and its quotation marks must reach the browser as they were hashed.
    return environment().get_template("hook.html.jinja"), Markup(css), policy


def _heading(hook: HookRow) -> str:
    return hook.title or hook.name or "An answer is needed"


def _moment(at_ms: int | None) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%-d %B %Y, %H:%M} UTC" if at_ms is not None else ""
