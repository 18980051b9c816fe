"""Errors as `application/problem+json` (RFC 9457), with the code of the error and no traceback."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ksl import errors
from ksl.api.ui.pages import error_page
from ksl.errors import KslError
from ksl.views.values import JsonObject, encode

# The nearest class in an error's ancestry decides, so the four bases at the end catch what is not named.
STATUS: dict[type[KslError], int] = {
    errors.BadJson: 400,
    errors.BadRequest: 400,
    errors.Unauthorised: 401,
    errors.DeliveryUnverified: 401,
    errors.HostRefused: 403,
    errors.OriginRefused: 403,
    errors.UnknownWorkflow: 404,
    errors.UnknownRun: 404,
    errors.UnknownCanvas: 404,
    errors.UnknownHook: 404,
    errors.UnknownTrigger: 404,
    errors.UnknownSubscription: 404,
    errors.NotFound: 404,
    errors.UnknownCredential: 404,
    errors.UnknownAgent: 404,
    errors.UnknownSession: 404,
    errors.WrongState: 409,
    errors.IdempotencyConflict: 409,
    errors.DeliveryConflict: 409,
    errors.HookAnswered: 409,
    errors.ReplayMismatch: 409,
    errors.InputDrift: 409,
    errors.WorkflowGone: 409,
    errors.PoisonRun: 409,
    errors.HookClosed: 410,
    errors.PayloadTooLarge: 413,
    errors.BodyTooLarge: 413,
    errors.BadMediaType: 415,
    errors.InvalidInput: 422,
    errors.InvalidCredential: 422,
    errors.NotSubscribable: 422,
    errors.FiringFailed: 422,
    errors.DamagedEvent: 500,
    errors.StoreFailed: 503,
    errors.FixRequest: 400,
    errors.TryAgain: 503,
    # A workflow whose code breaks a build rule starts no runs; the request itself was fine.
    errors.FixCode: 409,
    errors.AskPerson: 500,
    KslError: 500,
}


def status_of(error: KslError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(
    error: KslError,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    found: list[dict[str, Any]] | None = None,
) -> Response:
    """`found` is where and why, for an error that does not carry its own `errors`."""
    status = status or status_of(error)
    body: JsonObject = {
        "title": _title(type(error).__name__),
        "status": status,
        "detail": error.message,
        "code": error.code,
    }
    if found := found or getattr(error, "errors", None):
        body["errors"] = found
    headers = dict(headers or {})
    if isinstance(error, errors.Unauthorised):
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = "1"
    return Response(encode(body), status, headers, "application/problem+json")


async def ksl_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, KslError)
    return problem(error)


async def http_error(request: Request, error: Exception) -> Response:
    """What the router itself refuses: an unknown address, or a method that an address does not take."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        wrong = errors.BadRequest(f"{request.method} is not a method of this address. Nothing was done.")
        page = await error_page(request.scope, wrong, 405)
        if page is not None:
            page.headers.update(error.headers or {})
            return page
        return problem(wrong, status=405, headers=error.headers)
    if error.status_code == 404:
        return problem(errors.NotFound("Nothing is at this address. /openapi.json lists what there is."))
    return problem(errors.BadRequest(str(error.detail)), status=error.status_code, headers=error.headers)


async def parameter_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = errors.BadRequest("A parameter has a value that cannot be used; `errors` says which and why.")
    # `input` is left out on purpose: an error does not repeat what was sent
    found: list[dict[str, Any]] = [{"loc": list(e["loc"]), "msg": e["msg"]} for e in error.errors()]
    return problem(wrong, found=found)


def _title(name: str) -> str:
    """ "UnknownWorkflow" -> "Unknown workflow"."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).capitalize()
