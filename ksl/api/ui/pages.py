"""A page of the console: its template with what every page shows, and the headers that go with it."""

from __future__ import annotations

import functools
import hashlib
import re
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from ksl.api.requests import runtime_of
from ksl.api.templates import environment
from ksl.api.ui.logins import Logins
from ksl.errors import BadRequest, KslError
from ksl.views.drawings import canvas_stylesheet, drawn_items, drawn_svg_alone
from ksl.views.values import JsonObject

if TYPE_CHECKING:
    from jinja2 import Environment

PROOF = "ksl:proof"
PREFIX = "/ui/"
_NAMES_MAX = 1000

# `same-origin` and not `no-referrer`, which makes browsers send forms with the origin "null".
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",
}
_ROOM_MOST = 30  # hundreds of pixels
ASSETS = {"console.css": "text/css", "console.js": "text/javascript", "canvas.css": "text/css"}


def logins_of(request: Request) -> Logins:
    return cast(Logins, request.app.state.logins)


def session_of(request: Request) -> str:
    return logins_of(request).cookie_in(request.headers.get("cookie", ""))


async def page(request: Request, name: str, *, status: int = 200, **values: Any) -> Response:
    """`name` is a template that extends `base`."""
    html = _templates().get_template(f"{name}.html.jinja").render(await _values(request), **values)
    return Response(html, status, _HEADERS, "text/html; charset=utf-8")


async def sections(request: Request, name: str, **values: Any) -> dict[str, str]:
    """The parts of a page that a stream keeps up to date: its blocks whose name begins with `live_`."""
    template = _templates().get_template(f"{name}.html.jinja")
    context = template.new_context({**await _values(request), **values})
    return {
        block: "".join(render(context))
        for block, render in template.blocks.items()
        if block.startswith("live_")
    }


def drawing(shown: JsonObject) -> dict[str, Any]:
    """A canvas, as `items` too, and a class that lets it shrink to two thirds of its size and no further."""
    svg = drawn_svg_alone(shown)
    found_width = re.search(r'<svg [^>]*? width="(\d+)"', svg)
    width = int(found_width[1]) if found_width else 0
    room = f"room-{min(-(-width * 2 // 300), _ROOM_MOST)}"
    return {"svg": svg, "room": room, "items": drawn_items(shown)}


def login_page(scope: Scope, *, status: int = 401, notice: str = "") -> Response | None:
    """None for who asks for something else than a page."""
    accept = b"".join(value for key, value in scope["headers"] if key == b"accept")
    path: str = scope["path"]
    if not path.startswith(PREFIX) or b"text/html" not in accept or scope["method"] not in ("GET", "POST"):
        return None
    query = scope.get("query_string", b"").decode("latin-1")
    wanted = path.removeprefix(PREFIX)
    if scope["method"] == "POST":
        # What was sent is lost to us, though not to the script of the page that it was written in.
        notice = notice or "Nothing was done: you are not logged in any more. Log in and send it again."
    return login_form(root_of(path), wanted + (f"?{query}" if query else ""), status=status, notice=notice)


async def error_page(scope: Scope, error: KslError, status: int) -> Response | None:
    """Of an error that no page of the console has a part in. None for who asks for something else than a page."""
    accept = b"".join(value for key, value in scope["headers"] if key == b"accept")
    if not scope["path"].startswith(PREFIX) or b"text/html" not in accept:
        return None
    return await refused(Request(scope), error, status)


def login_form(root: str, wanted: str, *, status: int, notice: str = "") -> Response:
    template = _templates().get_template("login.html.jinja")
    html = template.render(root=root, wanted=wanted, notice=notice, version=assets_version())
    return Response(html, status, _HEADERS, "text/html; charset=utf-8")


async def refused(request: Request, error: KslError, status: int) -> Response:
    # Some addresses answer strangers, who are told nothing of the project.
    if not logins_of(request).holds(session_of(request), time.time()):
        return login_form(root_of(request.url.path), "", status=status, notice=error.message)
    return await page(request, "refused", status=status, error=error, state=status)


def found(request: Request, where: str) -> Response:
    """After a form: on to a page of the console, which the browser then gets with GET."""
    return RedirectResponse(root_of(request.url.path) + where, 303, _HEADERS)


def root_of(path: str) -> str:
    """From a page back to `/ui/`. Relative, since a proxy may put all of this below a prefix."""
    return "../" * _place(path).count("/") or "./"


def _place(path: str) -> str:
    """What a stream sends is put into the page that it belongs to, so it is written for that page's address."""
    return path.removeprefix(PREFIX).removeprefix("live/")


def part(text: str) -> str:
    return quote(text, safe="")


def pairs_in(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_NAMES_MAX)
    except ValueError:
        raise BadRequest(f"More than {_NAMES_MAX} names were sent. Nothing was done.") from None


async def form_of(request: Request) -> list[tuple[str, str]]:
    return pairs_in((await request.body()).decode(errors="replace"))


def only(pairs: list[tuple[str, str]], name: str) -> str:
    return next((value for key, value in pairs if key == name), "")


def cookie_place(request: Request) -> tuple[str, bool]:
    """Path and `Secure` of the session's cookie: as the browser sees us, maybe below the prefix of a proxy."""
    public = urlsplit(runtime_of(request).settings.server.public_url)
    if public.netloc and request.headers.get("host", "").lower() == public.netloc.lower():
        return f"{public.path.rstrip('/')}/ui", public.scheme == "https"
    return "/ui", False


@functools.cache
def asset(name: str) -> bytes:
    if name == "canvas.css":
        rooms = (f".room-{at} svg {{ min-width: {at}00px; }}" for at in range(1, _ROOM_MOST + 1))
        return "\n".join([canvas_stylesheet(), *rooms, ""]).encode()
    return (files("ksl.api") / "ui" / "assets" / name).read_bytes()


@functools.cache
def assets_version() -> str:
    """Part of their addresses: browsers may keep them until they change."""
    return hashlib.sha256(b"".join(map(asset, ASSETS))).hexdigest()[:12]


async def _values(request: Request) -> dict[str, Any]:
    runtime = runtime_of(request)
    path = request.url.path
    now_ms = int(time.time() * 1000)
    waits = await runtime.store.waits(now_ms)
    return {
        "now_ms": now_ms,
        "root": root_of(path),
        "here": _place(path).partition("/")[0],
        "project": runtime.settings.project.name or runtime.folder.name,
        "hooks_waiting": waits.hooks,
        "proof_name": PROOF,
        "proof": logins_of(request).form_proof(session_of(request)),
        "version": assets_version(),
    }


@functools.cache
def _templates() -> Environment:
    made = environment()
    made.filters["part"] = part
    return made
