"""A request to a webhook's endpoint as a delivery: decoded by the type it declares, and by nothing else."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from ksl.api.requests import FORM, is_utf8, media_type
from ksl.engine.strict_json import check
from ksl.errors import BadMediaType, BadRequest, KslError
from ksl.trigger.receiving import Arrived
from ksl.views.values import encode

FIELDS_MAX = 1_000


async def arrived(request: Request) -> Arrived:
    """Nothing is raised for a body that cannot be read: whether the sender is told is for the source to say."""
    body = await request.body()
    kind = media_type(request)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    # The gate bounds an address, and so how many parameters there can be.
    query = parse_qsl(request.url.query, keep_blank_values=True)
    payload: bytes | KslError
    try:
        if kind == FORM:
            payload = _form(body)
        else:
            payload = _json(request, kind, body)
    except KslError as error:
        payload = error
    return Arrived(headers, query, body, payload, is_form=kind == FORM)


def _json(request: Request, kind: str, body: bytes) -> bytes:
    """Errors: BadMediaType, BadJson."""
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if not body and not kind:
        return b"null"
    if not is_json or not is_utf8(request):
        declared = request.headers.get("content-type", "nothing")[:100]
        raise BadMediaType(
            f"The body says it is {declared}; this address takes application/json in UTF-8. Nothing was started."
        )
    check(body or b"null", what="the payload")
    return body or b"null"


def _form(body: bytes) -> bytes:
    """A field is its text, or a list of texts where it came several times. Errors: BadRequest."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except ValueError as wrong:
        raise BadRequest(f"The form cannot be read: {wrong}. Nothing was started.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return encode({name: values[0] if len(values) == 1 else values for name, values in fields.items()})
