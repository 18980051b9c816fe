"""Links of hooks: the token in the address is the credential.

What a GET does is the hook's own choice (`get`). By default only clients that are neither browsers nor
previews are taken at their word: mail scanners and chat previews fetch every link they see, and a page with a
form costs them nothing and answers nothing. HEAD and OPTIONS never answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.hook_form import (
    accepts_html,
    announces_prefetch,
    failed_page,
    outcome_page,
    query_of,
    question,
    submitted,
)
from ksl.api.link_visits import answered
from ksl.api.openapi import body_of, problems
from ksl.api.problems import status_of
from ksl.api.requests import FORM, answer, envelope, json_body, media_type, runtime_of, visits_of
from ksl.api.shapes import LinkAnsweredShape
from ksl.errors import HookAnswered, HookClosed, InvalidInput, KslError
from ksl.records import HookRow
from ksl.views.form_fields import payload_of
from ksl.views.times import rfc3339_or_none
from ksl.views.values import encode, value_of


class _LinkRoute(APIRoute):
    """Errors as pages, for people; and each visit is noted."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        answer = super().get_route_handler()

        async def noted(request: Request) -> Response:
            try:
                response = await answer(request)
            except KslError as error:
                visits_of(request).note(request, status_of(error))
                if not accepts_html(request):
                    raise
                return failed_page(error, status_of(error))
            visits_of(request).note(request, response.status_code)
            return response

        return noted


router = APIRouter(tags=["hook links"], route_class=_LinkRoute)

_RESPONSES = problems(400, 404, 409, 410, 413, 415, 422, 503, public=True)


@router.get("/hooks/{token}", response_model=LinkAnsweredShape, responses=_RESPONSES)
async def open_link(request: Request, token: str) -> Response:
    """The page with the question, or, for clients that are no browsers, the answer in the query string."""
    runtime = runtime_of(request)
    hook = await runtime.hook(token)
    page_wanted = accepts_html(request) or announces_prefetch(request)
    if hook.get == "confirm" or (hook.get != "resume" and page_wanted):
        if hook.status == "open":
            return question(request, token, hook, query_of(request))
        return await outcome_page(runtime.store, hook)
    pairs = query_of(request)
    schema = value_of(hook.schema)
    # A schema without required fields takes {}; without a schema nothing given is null, as for an empty body.
    payload = encode(payload_of(pairs, schema, form=False))
    try:
        row = await runtime.resume(token, payload, by="link")
        answered(request)
    except (HookAnswered, HookClosed):
        if accepts_html(request):
            return await outcome_page(runtime.store, await runtime.hook(token), conflict=True)
        raise
    except InvalidInput as wrong:
        if accepts_html(request):
            return question(request, token, hook, pairs, wrong=wrong)
        raise
    return await outcome_page(runtime.store, row) if accepts_html(request) else _answered(row)


@router.head("/hooks/{token}", include_in_schema=False)
async def look_at_link(request: Request, token: str) -> Response:
    hook = await runtime_of(request).hook(token)
    return Response(status_code=410 if hook.status in ("expired", "closed") else 200)


@router.options("/hooks/{token}", include_in_schema=False)
@router.options("/hooks/{token}/reject", include_in_schema=False)
async def methods_of_link(request: Request, token: str) -> Response:
    allowed = "OPTIONS, POST" if request.url.path.endswith("/reject") else "GET, HEAD, OPTIONS, POST"
    return Response(status_code=204, headers={"Allow": allowed})


@router.post(
    "/hooks/{token}",
    response_model=LinkAnsweredShape,
    responses=_RESPONSES,
    openapi_extra=body_of({}, "The payload, as the hook's schema describes it", required=False),
)
async def answer_link(request: Request, token: str) -> Response:
    """The body is the payload, an empty one is null. A form is taken only from the page itself."""
    if media_type(request) == FORM:
        return await submitted(request, token)
    row = await runtime_of(request).resume(token, await json_body(request), by="link")
    answered(request)
    return _answered(row)


class _Reject(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = ""


@router.post(
    "/hooks/{token}/reject",
    response_model=LinkAnsweredShape,
    responses=_RESPONSES,
    openapi_extra=body_of(
        {"type": "object", "additionalProperties": False, "properties": {"reason": {"type": "string"}}},
        "May be left out",
        required=False,
    ),
)
async def reject_link(request: Request, token: str) -> Response:
    asked = await envelope(request, _Reject)
    row = await runtime_of(request).reject(token, reason=asked.reason, by="link")
    answered(request)
    return _answered(row)


def _answered(row: HookRow) -> Response:
    """Less than an authenticated user is told: whoever has a link need not know the run."""
    return answer({"status": row.status, "answered_at": rfc3339_or_none(row.answered_at_ms)})
