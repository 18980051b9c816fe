"""Whether the server lives, whether it takes work, and its figures."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ksl.api.metrics import exposition
from ksl.api.openapi import problems
from ksl.api.requests import answer, runtime_of, stopping_of
from ksl.api.shapes import HealthShape, ReadyShape

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=HealthShape)
@router.head("/healthz", include_in_schema=False)
async def healthz(_request: Request) -> Response:
    """200 while the event loop turns. Needs no token."""
    return answer({"status": "ok"})


@router.get("/readyz", response_model=ReadyShape, responses={503: {"model": ReadyShape}})
@router.head("/readyz", include_in_schema=False)
async def readyz(request: Request) -> Response:
    """503 while the server takes no work: it is stopping, or its disk is full. Needs no token."""
    health = runtime_of(request).health()
    ready, reason = bool(health.get("ready")), health.get("reason")
    if stopping_of(request).is_set():
        ready, reason = False, "the server is stopping"
    # no more of it than this: anybody can ask
    return answer({"ready": ready, "reason": reason}, 200 if ready else 503)


@router.get("/metrics", response_class=PlainTextResponse, responses=problems())
async def metrics(request: Request) -> Response:
    """In the text format of Prometheus."""
    text = await exposition(runtime_of(request))
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
