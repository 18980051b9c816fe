"""Hooks that wait: the list, and the form that answers one as a user of the console."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.requests import runtime_of, stopping_of
from ksl.api.ui.forms import ConsoleRoute, Pairs, answers_in, filled, own_form
from ksl.api.ui.live import LiveStream, Now
from ksl.api.ui.pages import form_of, found, only, page, part, sections
from ksl.errors import InvalidInput, UnknownHook
from ksl.records import HookRow
from ksl.views.form_fields import payload_of
from ksl.views.hooks import answer_given, hook_json, hooks_json
from ksl.views.links import links_json, told_of_link
from ksl.views.values import encode, value_of

pages = APIRouter(include_in_schema=False, route_class=ConsoleRoute)

DECISION, REASON, BY = "ksl:decision", "ksl:reason", "ksl:by"
_PAUSE_S = 0.5


@pages.get("/ui/hooks")
async def list_hooks(request: Request) -> Response:
    return await page(request, "hooks", **await _listed(request))


@pages.get("/ui/live/hooks")
async def follow_hooks(request: Request) -> Response:
    runtime = runtime_of(request)

    async def now() -> Now:
        return Now(await runtime.store.feed_end(), await sections(request, "hooks", **await _listed(request)))

    return LiveStream(
        now,
        in_flight=lambda: None,
        wake=runtime.store.wake_on_commit,
        stopping=stopping_of(request),
        pause_s=_PAUSE_S,
    )


@pages.get("/ui/hooks/{run_id}")
async def show_hook(request: Request, run_id: str, step: str) -> Response:
    return await _page(request, await _hook(request, run_id, step))


@pages.post("/ui/hooks/{run_id}", dependencies=[Depends(own_form)])
async def answer_hook(request: Request, run_id: str, step: str) -> Response:
    """Nothing is chosen beforehand here either: a hand that slips on a phone is no answer."""
    runtime = runtime_of(request)
    hook = await _hook(request, run_id, step)
    pairs = await form_of(request)
    by = only(pairs, BY).strip()[:100] or "console"
    match only(pairs, DECISION):
        case "reject":
            await runtime.reject_hook(run_id, step, reason=only(pairs, REASON).strip()[:1000], by=by)
        case "answer":
            payload = payload_of(answers_in(pairs), value_of(hook.schema), form=True)
            try:
                await runtime.resume_hook(run_id, step, encode(payload), by=by)
            except InvalidInput as wrong:
                return await _page(request, hook, pairs=pairs, wrong=wrong)
        case _:
            return await _page(request, hook, pairs=pairs, notice="Choose whether to answer or to reject.")
    return found(request, f"runs/{part(run_id)}")


async def _listed(request: Request) -> dict[str, Any]:
    runtime = runtime_of(request)
    return await hooks_json(runtime.store, runtime.hook_url)


async def _hook(request: Request, run_id: str, step: str) -> HookRow:
    for row in await runtime_of(request).store.hooks(run_id=run_id, only_open=False):
        if row.step == step:
            return row
    raise UnknownHook(f"Run {run_id} has no hook at step {step[:200]}. Maybe retention has removed the run.")


async def _page(
    request: Request,
    hook: HookRow,
    *,
    pairs: Pairs | None = None,
    wrong: InvalidInput | None = None,
    notice: str = "",
) -> Response:
    runtime = runtime_of(request)
    form = filled(value_of(hook.schema), pairs or [], wrong)
    open_ = hook.status == "open"
    used = [link for link in await links_json(runtime.store, hook.run_id) if link["step"] == hook.step]
    return await page(
        request,
        "hook_of_run",
        status=422 if wrong is not None or notice else 200,
        hook=hook_json(hook, runtime.hook_url(hook) if open_ else None),
        state=hook.status,
        answered_at_ms=hook.answered_at_ms,
        answered_by=hook.answered_by,
        link=used[0] if used else None,
        link_told=told_of_link(used[0]) if used else "",
        given=None if open_ else await answer_given(runtime.store, hook),
        form=form,
        notice=notice or form.rest or ("Something is missing or does not fit." if wrong else ""),
        decision=only(pairs or [], DECISION),
        reason=only(pairs or [], REASON),
        by=only(pairs or [], BY),
        names={"decision": DECISION, "reason": REASON, "by": BY},
    )
