"""Forms of the console: that they are its own, what was filled in, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.problems import status_of
from ksl.api.requests import FORM, media_type
from ksl.api.ui.pages import PROOF, form_of, logins_of, only, refused, session_of
from ksl.errors import BadMediaType, BadRequest, InvalidInput, KslError, OriginRefused
from ksl.views.form_fields import Field, fields_of, placed
from ksl.views.values import JsonObject

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Filled:
    """`values` is what was filled in, `errors` what is wrong with it, by field; `rest` is wrong with none of them."""

    fields: Sequence[Field]
    values: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])
    errors: Mapping[str, str] = field(default_factory=dict[str, str])
    rest: str = ""


def filled(schema: JsonObject | None, pairs: Pairs = [], wrong: KslError | None = None) -> Filled:  # noqa: B006
    fields = fields_of(schema)
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    errors, rest = placed(fields, wrong.errors if isinstance(wrong, InvalidInput) else [])
    untold = wrong.message if wrong is not None and (rest or not errors) else ""
    return Filled(fields, values, errors, untold)


def answers_in(pairs: Pairs) -> Pairs:
    return [(name, value) for name, value in pairs if not name.startswith("ksl:")]


async def own_form(request: Request) -> None:
    """In front of every address of the console that changes something. Errors: BadMediaType, OriginRefused."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if media_type(request) != FORM:
        raise BadMediaType(
            "This address of the console takes a form, and the body does not say that it is one. Nothing was done."
        )
    proof = only(await form_of(request), PROOF)
    if not logins_of(request).is_own_form(session_of(request), proof):
        raise OriginRefused(
            "This form was not sent from a page of the console, or the session it belonged to has ended. "
            "Nothing was done. Open the page again."
        )


class ConsoleRoute(APIRoute):
    """Errors as pages, for browsers."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        answer = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except (KslError, RequestValidationError) as error:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                if isinstance(error, RequestValidationError):
                    error = BadRequest(
                        "A part of this address is missing, or has a value that cannot be used."
                    )
                return await refused(request, error, status_of(error))

        return answered
