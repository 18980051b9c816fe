"""The server against its own description: requests that /openapi.json allows and forbids, by chance, with a fixed seed.

No answer may be a 5xx, or have a status, a type or a shape that the description does not name for its route.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from tests.integration.api.serving import Served

EXAMPLES = (
    6  # for each route, with its own ids and with ids made up, of requests that fit and of such that do not
)
TIMEOUT_S = 20.0

# Their answers do not end by themselves.
ENDLESS = {"/stream", "/runs/{run_id}/stream"}

SLOW = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
CHECKS = [
    cast(Any, checks).not_a_server_error,
    cast(Any, checks).content_type_conformance,
    cast(Any, checks).response_schema_conformance,
]

pytestmark = pytest.mark.slow


async def test_no_answer_surprises_who_has_read_the_description(served: Served) -> None:
    run_id, link = await served.asked("approval", {})
    await served.ended("greeting", {"name": "Ada"})
    known = {"run_id": run_id, "slug": "greeting", "token": link.rpartition("/")[2]}
    described: dict[str, Any] = (await served.client.get("/openapi.json")).json()
    schema = cast(Any, schemathesis).openapi.from_dict(described)
    found: list[str] = []
    statuses: set[int] = set()
    for each in schema.get_all_operations():
        operation = each.ok()
        if operation.path not in ENDLESS:
            found += await asyncio.to_thread(surprises, operation, described, served, known, statuses)
    assert found == []
    assert {200, 202, 400, 404, 409, 422} <= statuses  # it got as far as the routes themselves


def surprises(
    operation: Any, described: dict[str, Any], served: Served, known: dict[str, str], statuses: set[int]
) -> list[str]:
    named = described["paths"][operation.path][operation.method]["responses"]
    real = {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}
    found: dict[str, str] = {}

    def ask(case: Any) -> None:
        answer = case.call(
            base_url=served.url,
            headers={"Authorization": f"Bearer {served.runtime.token}"},
            timeout=TIMEOUT_S,
        )
        statuses.add(answer.status_code)
        text = answer.content[:300].decode(errors="replace")
        said = f"{operation.label} {case.as_curl_command()[:500]}: {answer.status_code} {text}"
        if str(answer.status_code) not in named:
            found.setdefault(f"status {answer.status_code}", said)
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            for wrong in group.exceptions:
                found.setdefault(type(wrong).__name__, f"{said}\n{wrong}")

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        for parameters in ({}, real) if real else ({},):
            strategy = operation.as_strategy(generation_mode=mode, path_parameters=parameters or None)
            bounded = settings(
                max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=SLOW
            )
            try:
                seed(20260101)(bounded(given(case=strategy)(ask)))()
            except Unsatisfiable:
                pass  # nothing that is sent to this route could fail to fit
    return [f"{kind}: {said}" for kind, said in found.items()]
