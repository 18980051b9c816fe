"""What /openapi.json says: the routes as they are, with what goes in and every error that comes out."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.requests import answer
from ksl.api.shapes import ProblemShape

_MEANING = {
    400: "The request cannot be read, or a parameter cannot be used",
    401: "No valid bearer token",
    403: "A foreign Host or Origin",
    404: "Nothing has this id, slug or token",
    409: "The state does not allow it, or it was answered or used before",
    410: "Expired, or the run has ended",
    413: "The body or the value is too large",
    415: "Not a content type that this address takes",
    422: "Does not fit the schema; `errors` says where",
    503: "Takes no work at the moment; nothing was stored",
}


def problems(*statuses: int, public: bool = False) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route: those named, and what the gate says in front of every route."""
    every = {*statuses, 403} if public else {*statuses, 401, 403}
    return {
        # `default` also keeps FastAPI from announcing a 422 of its own shape
        **{status: _described(_MEANING[status]) for status in sorted(every)},
        "default": _described("Any other error"),
    }


def body_of(schema: dict[str, Any], description: str, *, required: bool = True) -> dict[str, Any]:
    """Bodies are read by hand, as bytes, so their schemas are written by hand too."""
    return {
        "requestBody": {
            "required": required,
            "description": description,
            "content": {"application/json": {"schema": schema}},
        }
    }


def publish(app: FastAPI) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(_request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return answer(_schema(app))


def _schema(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = app.openapi()
        components = schema.setdefault("components", {})
        problem = ProblemShape.model_json_schema(ref_template="#/components/schemas/{model}")
        components.setdefault("schemas", {}).update(problem.pop("$defs"))
        components["schemas"]["Problem"] = problem
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        for path, operations in schema["paths"].items():
            if path in ("/healthz", "/readyz") or path.startswith("/hooks/"):
                for operation in operations.values():
                    operation["security"] = []
            elif path == "/triggers/{endpoint}":
                operations["post"]["security"] = []
    return app.openapi_schema or {}


def _described(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
