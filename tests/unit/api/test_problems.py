from __future__ import annotations

import json

import pytest

from ksl import errors
from ksl.api.problems import problem, status_of
from ksl.errors import InvalidInput, KslError


def every_error(kind: type[KslError] = KslError) -> list[type[KslError]]:
    return [found for child in kind.__subclasses__() for found in (child, *every_error(child))]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_says_its_code(kind: type[KslError]) -> None:
    answer = problem(kind("what happened"))
    assert 400 <= answer.status_code < 600
    body = json.loads(bytes(answer.body))
    assert body["status"] == answer.status_code
    assert (body["code"], body["detail"]) == (kind.code, "what happened")
    assert body["title"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UnknownRun("x"), 404),
        (errors.HookAnswered("x"), 409),
        (errors.HookClosed("x"), 410),
        (errors.StoreFull("x"), 503),
        (errors.ShuttingDown("x"), 503),
        (errors.MalformedDefinition("x"), 409),
    ],
)
def test_what_to_do_decides_the_status_of_errors_that_are_not_named(error: KslError, status: int) -> None:
    assert status_of(error) == status


def test_a_validation_error_says_where() -> None:
    wrong = InvalidInput("does not fit", [{"loc": ["name"], "msg": "Field required"}])
    body = json.loads(bytes(problem(wrong).body))
    assert body["errors"] == [{"loc": ["name"], "msg": "Field required"}]
    assert body["title"] == "Invalid input"


def test_an_answer_to_try_again_says_when() -> None:
    assert problem(errors.StoreFull("x")).headers["retry-after"] == "1"
