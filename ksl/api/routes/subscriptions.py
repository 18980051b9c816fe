"""Who gets a run of a subscribable workflow at each firing."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, envelope, runtime_of
from ksl.api.shapes_of_triggers import SubscriptionShape, SubscriptionsShape
from ksl.views.subscriptions import subscription_json, subscriptions_json

router = APIRouter(tags=["subscriptions"])


@router.get("/subscriptions", response_model=SubscriptionsShape, responses=problems())
async def list_subscriptions(request: Request, workflow: str | None = None) -> Response:
    return answer(subscriptions_json(runtime_of(request).triggers.standing.subscriptions(workflow)))


class _Subscribe(msgspec.Struct, forbid_unknown_fields=True):
    workflow: str
    subscriber: str


@router.post(
    "/subscriptions",
    status_code=201,
    response_model=SubscriptionShape,
    responses={
        200: {"model": SubscriptionShape, "description": "Subscribed before; nothing was changed"},
        **problems(400, 404, 415, 422, 503),
    },
    openapi_extra=body_of(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["workflow", "subscriber"],
            "properties": {"workflow": {"type": "string"}, "subscriber": {"type": "string"}},
        },
        "The subscriber is a name of your own; runs have it as ctx.subscriber",
    ),
)
async def add_subscription(request: Request) -> Response:
    asked = await envelope(request, _Subscribe)
    standing = runtime_of(request).triggers.standing
    row, is_new = await standing.subscribe(asked.workflow, asked.subscriber, by="api")
    return answer(subscription_json(row), 201 if is_new else 200)


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool


@router.patch(
    "/subscriptions/{subscription_id}",
    response_model=SubscriptionShape,
    responses=problems(400, 404, 415, 422, 503),
    openapi_extra=body_of(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["enabled"],
            "properties": {"enabled": {"type": "boolean"}},
        },
        "Whether the subscriber gets runs",
    ),
)
async def change_subscription(request: Request, subscription_id: str) -> Response:
    asked = await envelope(request, _Change)
    row = await runtime_of(request).triggers.standing.set_enabled(subscription_id, asked.enabled)
    return answer(subscription_json(row))


@router.delete(
    "/subscriptions/{subscription_id}", response_model=SubscriptionShape, responses=problems(404, 503)
)
async def remove_subscription(request: Request, subscription_id: str) -> Response:
    """The answer is the subscription as it was. Runs that were started for it go on."""
    row = await runtime_of(request).triggers.standing.unsubscribe(subscription_id)
    return answer(subscription_json(row))
