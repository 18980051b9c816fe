"""The form on a hook's page: showing it, and taking what a person sent with it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from ksl.api.form_proof import COOKIE, VALID_S, FormProof
from ksl.api.hook_page import (
    BY,
    DECISION,
    PROOF,
    REASON,
    Form,
    answered_page,
    closed_page,
    message_page,
    question_page,
)
from ksl.api.link_visits import answered
from ksl.api.requests import runtime_of
from ksl.errors import BadRequest, HookAnswered, HookClosed, InvalidInput, KslError, UnknownHook
from ksl.log.store import Store
from ksl.records import HookRow
from ksl.views.form_fields import fields_of, payload_of, placed, text_of
from ksl.views.hooks import answer_given
from ksl.views.values import JsonObject, encode, is_list, is_object, value_of

Pairs = list[tuple[str, str]]

_NAMES_MAX = 1000


def accepts_html(request: Request) -> bool:
    return any("text/html" in value.lower() for value in request.headers.getlist("accept"))


def announces_prefetch(request: Request) -> bool:
    headers = ("purpose", "sec-purpose", "x-purpose", "x-moz")
    said = " ".join(request.headers.get(name, "") for name in headers).lower()
    return any(word in said for word in ("prefetch", "prerender", "preview"))


def query_of(request: Request) -> Pairs:
    return _pairs(request.url.query)


def failed_page(error: KslError, status: int) -> Response:
    """Whoever has a link need not know of the server's disks and settings."""
    if isinstance(error, UnknownHook):
        return message_page(
            404,
            "Nothing waits here",
            "This link is unknown. Check that it was copied whole, or ask who sent it.",
        )
    if status >= 500:
        return message_page(
            status,
            "Please try again later",
            "The server cannot take answers at the moment. Nothing was recorded.",
        )
    return message_page(status, "This did not work", error.message)


async def outcome_page(store: Store, hook: HookRow, *, conflict: bool = False, notice: str = "") -> Response:
    """What became of a hook that takes no answer any more. `conflict`: somebody just tried to give one."""
    if hook.status in ("expired", "closed"):
        return closed_page(hook)
    given = await answer_given(store, hook)
    if conflict:
        notice = "This was answered before. What you sent changed nothing."
        return answered_page(hook, given, status=409, notice=notice, tone="bad")
    return answered_page(hook, given, notice=notice or "Already answered. Nothing is left to do.")


def question(
    request: Request,
    token: str,
    hook: HookRow,
    filled: Pairs,
    *,
    wrong: InvalidInput | None = None,
    notice: str = "",
) -> Response:
    """The page with the form. With `wrong` or a `notice` it goes out as 422, and what was filled in stays."""
    runtime = runtime_of(request)
    public_url = urlsplit(runtime.settings.server.public_url)
    proof = FormProof(runtime.token)
    now_s = time.time()
    cookie = request.cookies.get(COOKIE, "")
    # A link opened in a second tab must not spoil the form in the first.
    if not proof.is_fresh(cookie, now_s):
        cookie = proof.new_cookie(now_s)
    schema: JsonObject | None = value_of(hook.schema)
    values: dict[str, list[str]] = {}
    for name, value in filled:
        values.setdefault(name, []).append(value)
    fields = fields_of(schema)
    errors, rest = placed(fields, wrong.errors if wrong is not None else [])
    form = Form(
        fields,
        proof.of(token, cookie),
        # only what a person chose and sent comes back chosen; a link cannot choose for them
        decision=_only(filled, DECISION) if wrong or notice else "",
        reason=_only(filled, REASON),
        by=_only(filled, BY),
        values=values,
        errors=errors,
    )
    if wrong is not None:
        gaps = "Something is missing or does not fit. Nothing was recorded yet."
        notice = notice or (gaps if errors and not rest else f"Nothing was recorded yet: {wrong.message}")
    page = question_page(hook, form, status=422 if notice else 200, notice=notice)
    page.set_cookie(
        COOKIE,
        cookie,
        max_age=VALID_S,
        path=f"{public_url.path.rstrip('/')}/hooks/{token}",
        secure=public_url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return page


async def submitted(request: Request, token: str) -> Response:
    """Takes the form. The same answer sent twice (a double click) is fine; another one changes nothing."""
    runtime = runtime_of(request)
    pairs = _pairs((await request.body()).decode(errors="replace"))
    hook = await runtime.hook(token)
    proof = FormProof(runtime.token)
    cookie = request.cookies.get(COOKIE, "")
    if not proof.holds(token, cookie=cookie, proof=_only(pairs, PROOF), now_s=time.time()):
        return message_page(
            403,
            "Please open the link again",
            "This form was open for too long, or was not sent from its own page. Nothing was recorded. "
            "Cookies must be allowed for this page.",
        )
    decision = _only(pairs, DECISION)
    if decision not in ("answer", "reject"):
        return question(request, token, hook, pairs, notice="Choose whether to answer or to reject.")
    by = _only(pairs, BY).strip()[:100] or "link"
    reason = _only(pairs, REASON).strip()[:1000]
    answers = [(name, value) for name, value in pairs if not name.startswith("ksl:")]
    payload = payload_of(answers, value_of(hook.schema), form=True)
    try:
        if decision == "reject":
            row = await runtime.reject(token, reason=reason, by=by)
        else:
            row = await runtime.resume(token, encode(payload), by=by)
        answered(request)
    except InvalidInput as wrong:
        return question(request, token, hook, pairs, wrong=wrong)
    except (HookAnswered, HookClosed):
        hook = await runtime.hook(token)
        given = await answer_given(runtime.store, hook)
        sent = reason if decision == "reject" else payload
        same = (hook.status == "rejected") == (decision == "reject") and is_same(given, sent)
        return await outcome_page(runtime.store, hook, conflict=not same, notice=_THANKS)
    return await outcome_page(runtime.store, row, notice=_THANKS)


_THANKS = "Thank you. Your answer is recorded; you can close this page."


def is_same(given: Any, sent: Any) -> bool:
    """Whether a recorded answer is the one that a form sent: text may have become a number on the way."""
    if is_object(given) and is_object(sent):
        return all(is_same(given.get(key), value) for key, value in sent.items())
    if is_list(given) and is_list(sent):
        return len(given) == len(sent) and all(map(is_same, given, sent))
    if given == sent or (given in (None, "") and sent in (None, "")):
        return True
    if isinstance(given, int | float) and not isinstance(given, bool) and isinstance(sent, str):
        try:
            return float(sent) == given
        except ValueError:
            return False
    return text_of(given) == text_of(sent)


def _pairs(text: str) -> Pairs:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_NAMES_MAX)
    except ValueError:
        raise BadRequest(f"More than {_NAMES_MAX} names were sent. Nothing was recorded.") from None


def _only(pairs: Pairs, name: str) -> str:
    return next((value for key, value in pairs if key == name), "")
