"""How users' data, moments and states are put on a page: cut, without what turns or hides text, escaped."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from ksl.build.canvas import words
from ksl.records import STATUS_LABELS
from ksl.views.times import parse_rfc3339

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

VALUE_MOST = 20_000  # characters of one value on a page
_LINE_MOST = 200

_SIGNS = {
    "queued": "○",
    "pending": "○",
    "running": "●",
    "sleeping": "◷",
    "waiting": "‖",
    "held": "‖",
    "retrying": "↻",
    "reopened": "↻",
    "succeeded": "✓",
    "started": "✓",
    "completed": "✓",
    "failed": "✗",
    "rejected": "✗",
    "cancelled": "⊘",
    "skipped": "–",
}


def install(environment: Environment) -> None:
    environment.filters.update(
        visible=visible,
        line=line,
        pretty=pretty,
        gist=gist,
        when=when,
        ago=ago,
        until=until,
        lasted=words.took,
        status=status,
        took=took,
        bare=bare,
        size=size,
    )


def visible(text: object, most: int = VALUE_MOST) -> str:
    """With a sign in the place of each letter that moves, turns or hides others; cut where it is long."""
    whole = str(text)
    shown = whole[:most].replace("\r\n", "\n")
    if not shown.isprintable():
        shown = "".join(each if each.isprintable() or each in "\n\t" else "�" for each in shown)
    return shown if len(whole) <= most else f"{shown}… ({len(whole):,} characters in all)"


def line(text: object, most: int = _LINE_MOST) -> str:
    cut = str(text)[: most + 1]
    shown = "".join(each if each.isprintable() else " " if each.isspace() else "�" for each in cut)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def pretty(value: Any) -> str:
    """JSON over several lines; a text that stands alone as itself."""
    if isinstance(value, str):
        return visible(value)
    return visible(json.dumps(value, ensure_ascii=False, indent=2))


def gist(value: Any, most: int = 90) -> str:
    return line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), most)


def when(moment: str | None) -> Markup:
    """A moment in UTC."""
    from markupsafe import Markup

    if moment is None:
        return Markup("")
    return Markup('<time datetime="{0}" title="{0}">{1} {2}</time>').format(
        moment, moment[:10], moment[11:19]
    )


def ago(moment: str | None, running: bool = False) -> Markup:
    """How long since; the page's script keeps it up to date."""
    from markupsafe import Markup

    if moment is None:
        return Markup("")
    at_ms = parse_rfc3339(moment)
    past_ms = int(time.time() * 1000) - at_ms
    text = words.took(max(past_ms // 1000 * 1000, 0)) if past_ms >= 1000 else "0 s"
    if past_ms < 0:
        text = f"in {words.took(-past_ms // 1000 * 1000)}"
    elif not running:
        text += " ago"
    kind = "since" if running else "ago"
    return Markup('<time datetime="{0}" title="{0}" data-{1}="{2}">{3}</time>').format(
        moment, kind, at_ms, text
    )


def until(moment: str) -> Markup:
    """How long until then; the page's script counts it down."""
    from markupsafe import Markup

    at_ms = parse_rfc3339(moment)
    left_ms = at_ms - int(time.time() * 1000)
    text = f"in {words.took(left_ms // 1000 * 1000)}" if left_ms >= 1000 else "now"
    return Markup('<time datetime="{0}" title="{0}" data-until="{1}">{2}</time>').format(moment, at_ms, text)


def took(item: dict[str, Any]) -> Markup:
    """From start to finish of a run or step; what still runs counts on."""
    from markupsafe import Markup

    started, finished = item.get("started_at"), item.get("finished_at")
    if not started:
        return Markup("")
    if not finished:
        return ago(started, running=True)
    return Markup("<span>{}</span>").format(
        words.took(max(parse_rfc3339(finished) - parse_rfc3339(started), 0))
    )


def status(name: str) -> Markup:
    from markupsafe import Markup

    labels: dict[str, str] = {key.value: label for key, label in STATUS_LABELS.items()}
    label = labels.get(name, name.capitalize())
    sign = _SIGNS.get(name, "·")
    return Markup('<span class="status {}"><span aria-hidden="true">{}</span> {}</span>').format(
        name, sign, label
    )


def bare(step: str | None) -> str:
    """Events write `step:<id>`."""
    return (step or "").removeprefix("step:")


def size(number: int) -> str:
    amount = float(number)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError("unreachable")
