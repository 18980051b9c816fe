from __future__ import annotations

import json

import pytest

from ksl import errors
from ksl.cli.app import paragraph
from ksl.cli.exits import exit_code
from ksl.cli.problems import problem


def said(status: int, **fields: object) -> errors.KslError:
    return problem(status, json.dumps(fields).encode(), "http://127.0.0.1:1")


def test_a_problem_becomes_the_error_that_it_was():
    error = said(404, code="KSL400", detail="No workflow greting. Near: greeting.")
    assert isinstance(error, errors.UnknownWorkflow)
    assert (str(error), exit_code(error)) == ("No workflow greting. Near: greeting.", 2)


def test_the_fields_of_an_invalid_input_come_along():
    error = said(
        422, code="KSL407", detail="It does not fit.", errors=[{"loc": ["name"], "msg": "Field required"}]
    )
    assert isinstance(error, errors.InvalidInput)
    assert "  name: Field required" in paragraph(error)
    assert exit_code(error) == 1


def test_a_code_of_a_newer_server_keeps_its_code_and_words():
    error = said(409, code="KSL999", detail="Something new.")
    assert paragraph(error) == "KSL999 Something new.\n`ksl explain KSL999` says more."


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"text"', b""])
def test_an_answer_of_something_else_says_so(body: bytes):
    error = problem(502, body, "http://127.0.0.1:1")
    assert isinstance(error, errors.ServerUnreachable)
    assert exit_code(error) == 4
