"""Getting into the console and out of it, and what its pages are dressed with.

A link is used up by a GET, since whoever is given one clicks it. It answers with a page that goes on by itself and
not with a redirection: a browser that came from elsewhere would not send a `SameSite=Strict` cookie along with that.
"""

from __future__ import annotations

import time

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.openapi import problems
from ksl.api.requests import answer, runtime_of
from ksl.api.shapes import LoginLinkShape
from ksl.api.ui.forms import ConsoleRoute, own_form
from ksl.api.ui.logins import LINK_S, SESSION_S
from ksl.api.ui.pages import (
    ASSETS,
    PREFIX,
    asset,
    cookie_place,
    form_of,
    found,
    login_form,
    logins_of,
    only,
    page,
    root_of,
    session_of,
)
from ksl.errors import NotFound
from ksl.views.times import rfc3339

router = APIRouter(tags=["console"])
pages = APIRouter(include_in_schema=False, route_class=ConsoleRoute)
rest = APIRouter(include_in_schema=False, route_class=ConsoleRoute)  # after all others


@router.post("/login-links", status_code=201, response_model=LoginLinkShape, responses=problems())
async def new_login_link(request: Request) -> Response:
    """A link that opens the console once, within five minutes, for whoever is given it."""
    now_s = time.time()
    code = logins_of(request).new_link(now_s)
    url = f"{runtime_of(request).public_url}{PREFIX}login/{code}"
    return answer({"url": url, "expires_at": rfc3339(int((now_s + LINK_S) * 1000))}, 201)


@pages.get("/ui/login")
async def show_login(request: Request) -> Response:
    return login_form(root_of(request.url.path), "", status=200)


@pages.post("/ui/login")
async def log_in(request: Request) -> Response:
    """With the server's token, for who has no link at hand."""
    pairs = await form_of(request)
    wanted = only(pairs, "wanted")
    if not logins_of(request).is_token(only(pairs, "token").strip()):
        return login_form(
            root_of(request.url.path), wanted, status=401, notice="This is not the token of this server."
        )
    # The fragment tells the page's script that a form which was sent before has had no answer.
    answered = found(request, f"{wanted}#again" if _is_ours(wanted) else "")
    _let_in(request, answered)
    return answered


@pages.get("/ui/login/{code}")
async def open_link(request: Request, code: str) -> Response:
    if not logins_of(request).use_link(code, time.time()):
        notice = "This link was used before, or is too old. `ksl open` makes a new one."
        return login_form(root_of(request.url.path), "", status=401, notice=notice)
    answered = await page(request, "welcome")
    _let_in(request, answered)
    return answered


@pages.post("/ui/logout", dependencies=[Depends(own_form)])
async def log_out(request: Request) -> Response:
    logins_of(request).end(session_of(request))
    answered = found(request, "login")
    path, secure = cookie_place(request)
    answered.delete_cookie(
        logins_of(request).cookie_name, path=path, secure=secure, httponly=True, samesite="strict"
    )
    return answered


@pages.get("/ui/logout")
async def stay(request: Request) -> Response:
    return found(request, "runs")


@pages.get("/ui/assets/{name}")
async def show_asset(name: str) -> Response:
    if name not in ASSETS:
        raise NotFound("The console has no such file.")
    # Its address has a version in it.
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(asset(name), 200, headers, f"{ASSETS[name]}; charset=utf-8")


@pages.get("/ui")
async def go_in(request: Request) -> Response:
    return Response(status_code=303, headers={"Location": "ui/runs"})


@pages.get("/ui/")
async def go_home(request: Request) -> Response:
    return found(request, "runs")


@rest.get("/ui/{path:path}")
async def say_that_nothing_is_there(path: str) -> Response:
    raise NotFound("The console has no such page.")


def _let_in(request: Request, answered: Response) -> None:
    logins = logins_of(request)
    path, secure = cookie_place(request)
    answered.set_cookie(
        logins.cookie_name,
        logins.new_cookie(time.time()),
        max_age=SESSION_S,
        path=path,
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def _is_ours(wanted: str) -> bool:
    """Whether it is a page below `/ui/`, and not the address of another site in disguise."""
    path = wanted.partition("?")[0]
    return bool(
        wanted
        and wanted.isascii()
        and wanted.isprintable()
        and not path.startswith(("/", "\\", "."))
        and not any(mark in path for mark in (":", "//", "\\", ".."))
    )
