"""Credentials: set, removed, listed by name. What was set is never answered, sealed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from ksl.api.openapi import body_of, problems
from ksl.api.requests import answer, envelope, runtime_of
from ksl.api.shapes import CredentialSetShape, CredentialsShape, RemovedShape, RotatedShape
from ksl.errors import NotFound
from ksl.records import Scope
from ksl.views.credentials import credentials_json

if TYPE_CHECKING:
    from ksl.vault.vault import Vault

router = APIRouter(tags=["credentials"])

_SCOPE = {"enum": ["project", "organization", "user"], "default": "project"}
_USER = {"type": ["string", "null"], "description": "Whose, in the scope user"}


@router.get("/credentials", response_model=CredentialsShape, responses=problems())
async def list_credentials(request: Request) -> Response:
    """Where each is set, since when, and under which key."""
    vault = _vault(request)
    return answer(credentials_json(await vault.sealed(), vault.definitions, built_in=vault.built_in))


class _Set(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    fields: dict[str, Any]
    scope: Scope = "project"
    user: str | None = None


@router.post(
    "/credentials",
    response_model=CredentialSetShape,
    responses=problems(400, 404, 415, 422, 503),
    openapi_extra=body_of(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "fields"],
            "properties": {
                "name": {"type": "string"},
                "fields": {"type": "object", "description": "Those that are left out stay as they were set"},
                "scope": _SCOPE,
                "user": _USER,
            },
        },
        "Values as the credential's model takes them",
    ),
)
async def set_credential(request: Request) -> Response:
    """Validated by the model, sealed and stored. The answer repeats no value."""
    asked = await envelope(request, _Set)
    return answer(await _vault(request).set(asked.name, asked.fields, scope=asked.scope, user=asked.user))


class _Rotate(msgspec.Struct, forbid_unknown_fields=True):
    scope: Scope = "project"


@router.post(
    "/credentials/rotate",
    response_model=RotatedShape,
    responses=problems(400, 415, 422, 503),
    openapi_extra=body_of(
        {"type": "object", "additionalProperties": False, "properties": {"scope": _SCOPE}},
        "May be left out",
        required=False,
    ),
)
async def rotate_credentials(request: Request) -> Response:
    """Seals everything of the project, or of the organization, with a new key."""
    asked = await envelope(request, _Rotate)
    return answer(await _vault(request).rotate(asked.scope))


@router.delete("/credentials/{name}", response_model=RemovedShape, responses=problems(400, 404, 503))
async def remove_credential(
    request: Request,
    name: str,
    scope: Annotated[Scope, Query()] = "project",
    user: Annotated[str | None, Query(description="Whose, in the scope user")] = None,
) -> Response:
    await _vault(request).remove(name, scope=scope, user=user)
    return answer({"name": name, "scope": scope, "user": user, "removed": True})


def _vault(request: Request) -> Vault:
    vault = runtime_of(request).vault
    if vault is None:
        raise NotFound("This server keeps no credentials.")
    return vault
